//! Writes GGUF files for the tests, by the format's description.

/// A metadata value.
pub enum Value<'a> {
    U32(u32),
    F32(f32),
    Bool(bool),
    String(&'a str),
    Strings(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

#[derive(Default)]
pub struct GgufWriter {
    metadata: Vec<u8>,
    keys: u64,
    descriptions: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn array(out: &mut Vec<u8>, kind: u32, length: usize) {
    out.extend(9u32.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((length as u64).to_le_bytes());
}

impl GgufWriter {
    pub fn set(&mut self, key: &str, value: Value) -> &mut Self {
        let out = &mut self.metadata;
        string(out, key);
        self.keys += 1;
        match value {
            Value::U32(value) => {
                out.extend(4u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Value::F32(value) => {
                out.extend(6u32.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            Value::Bool(value) => {
                out.extend(7u32.to_le_bytes());
                out.push(u8::from(value));
            }
            Value::String(value) => {
                out.extend(8u32.to_le_bytes());
                string(out, value);
            }
            Value::Strings(values) => {
                array(out, 8, values.len());
                values.iter().for_each(|value| string(out, value));
            }
            Value::I32s(values) => {
                array(out, 5, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Value::F32s(values) => {
                array(out, 6, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        self
    }

    /// An F32 tensor; `shape` has rows first.
    pub fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) -> &mut Self {
        let out = &mut self.descriptions;
        string(out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        for dimension in shape.iter().rev() {
            out.extend((*dimension as u64).to_le_bytes());
        }
        out.extend(0u32.to_le_bytes());
        out.extend((self.data.len() as u64).to_le_bytes());
        self.data
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self.tensors += 1;
        self
    }

    pub fn finish(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend(self.tensors.to_le_bytes());
        file.extend(self.keys.to_le_bytes());
        file.extend(&self.metadata);
        file.extend(&self.descriptions);
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(&self.data);
        file
    }
}
