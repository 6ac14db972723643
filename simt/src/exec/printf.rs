//! What `printf` in a kernel prints (CUDA C++ Programming Guide, "Formatted Output").

/// Formats as C does. `word(offset, bytes)` reads the arguments, which lie as in a C struct;
/// `string(address)` reads a C string.
pub fn format(
    format: &[u8],
    word: impl Fn(u64, u64) -> u64,
    string: impl Fn(u64) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offset = 0u64;
    let mut take = |bytes: u64| {
        offset = offset.next_multiple_of(bytes);
        offset += bytes;
        word(offset - bytes, bytes)
    };
    let mut rest = format;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            out.push(first);
            continue;
        }
        let mut spec = Spec::default();
        while let Some((&flag, after)) = rest.split_first().filter(|(c, _)| b"-+ #0".contains(c)) {
            spec.flags.push(flag);
            rest = after;
        }
        spec.width = number(&mut rest, &mut take);
        if let Some((b'.', after)) = rest.split_first() {
            rest = after;
            spec.precision = Some(number(&mut rest, &mut take));
        }
        let mut long = false;
        while let Some((&size, after)) = rest.split_first().filter(|(c, _)| b"hlLjzt".contains(c)) {
            long |= !matches!(size, b'h');
            rest = after;
        }
        let Some((&kind, after)) = rest.split_first() else {
            break;
        };
        rest = after;
        let bytes = if long { 8 } else { 4 };
        let body = match kind {
            b'%' => {
                out.push(b'%');
                continue;
            }
            b'd' | b'i' => {
                let raw = take(bytes);
                let value = if long {
                    raw as i64
                } else {
                    i64::from(raw as i32)
                };
                spec.integer(value < 0, value.unsigned_abs().to_string())
            }
            b'u' => spec.integer(false, take(bytes).to_string()),
            b'x' => spec.integer(false, format!("{:x}", take(bytes))),
            b'X' => spec.integer(false, format!("{:X}", take(bytes))),
            b'o' => spec.integer(false, format!("{:o}", take(bytes))),
            b'p' => format!("0x{:x}", take(8)).into_bytes(),
            b'c' => vec![take(4) as u8],
            b's' => {
                let mut text = string(take(8)).unwrap_or_else(|| b"(null)".to_vec());
                text.truncate(spec.precision.unwrap_or(text.len()));
                text
            }
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A' => {
                spec.float(kind, f64::from_bits(take(8)))
            }
            other => vec![b'%', other],
        };
        spec.pad(&body, &mut out);
    }
    out
}

/// A width or precision: digits, or `*` and an argument.
fn number(rest: &mut &[u8], take: &mut impl FnMut(u64) -> u64) -> usize {
    if let Some((b'*', after)) = rest.split_first() {
        *rest = after;
        return (take(4) as usize).min(4096);
    }
    let mut value = 0usize;
    while let Some((&digit, after)) = rest.split_first().filter(|(c, _)| c.is_ascii_digit()) {
        value = (value * 10 + usize::from(digit - b'0')).min(4096);
        *rest = after;
    }
    value
}

#[derive(Default)]
struct Spec {
    flags: Vec<u8>,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn has(&self, flag: u8) -> bool {
        self.flags.contains(&flag)
    }

    fn sign(&self, negative: bool) -> &'static str {
        match negative {
            true => "-",
            false if self.has(b'+') => "+",
            false if self.has(b' ') => " ",
            false => "",
        }
    }

    fn integer(&self, negative: bool, digits: String) -> Vec<u8> {
        let least = match self.precision {
            Some(precision) => precision,
            None if self.has(b'0') && !self.has(b'-') => {
                self.width.saturating_sub(self.sign(negative).len())
            }
            None => 0,
        };
        format!("{}{digits:0>least$}", self.sign(negative)).into_bytes()
    }

    fn float(&self, kind: u8, value: f64) -> Vec<u8> {
        let sign = self.sign(value.is_sign_negative() && !value.is_nan());
        let x = value.abs();
        let precision = self.precision.unwrap_or(6);
        let text = if x.is_nan() {
            "nan".to_owned()
        } else if x.is_infinite() {
            "inf".to_owned()
        } else {
            match kind {
                b'f' | b'F' => format!("{x:.precision$}"),
                b'e' | b'E' => exponent(&format!("{x:.precision$e}")),
                b'a' | b'A' => format!("{x:e}"),
                _ => self.shortest(x, precision.max(1)),
            }
        };
        let text = if kind.is_ascii_uppercase() {
            text.to_uppercase()
        } else {
            text
        };
        if self.has(b'0') && !self.has(b'-') && x.is_finite() {
            let least = self.width.saturating_sub(sign.len());
            return format!("{sign}{text:0>least$}").into_bytes();
        }
        format!("{sign}{text}").into_bytes()
    }

    /// `%g`
    fn shortest(&self, x: f64, precision: usize) -> String {
        let scientific = format!("{:.*e}", precision - 1, x);
        let power: i32 = scientific
            .split_once('e')
            .and_then(|(_, e)| e.parse().ok())
            .unwrap_or(0);
        let trim = |text: &str| {
            if self.has(b'#') || !text.contains('.') {
                return text.to_owned();
            }
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        if power < -4 || power >= precision as i32 {
            let (digits, e) = scientific.split_once('e').unwrap_or((&scientific, "0"));
            return exponent(&format!("{}e{e}", trim(digits)));
        }
        trim(&format!(
            "{:.*}",
            (precision as i32 - 1 - power).max(0) as usize,
            x
        ))
    }

    fn pad(&self, body: &[u8], out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(body.len());
        if self.has(b'-') {
            out.extend_from_slice(body);
        }
        out.extend(std::iter::repeat_n(b' ', missing));
        if !self.has(b'-') {
            out.extend_from_slice(body);
        }
    }
}

/// Rust's `1e-7` as C's `1e-07`.
fn exponent(text: &str) -> String {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}
