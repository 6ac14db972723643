//! The tensors of a decoder, as one tree that values, gradients and moments share.

/// A linear layer's tensors.
#[derive(Clone, Debug)]
pub struct Projection<T> {
    /// `[outputs, inputs]`.
    pub weight: T,
    /// `[outputs]`.
    pub bias: Option<T>,
}

/// The tensors of one decoder layer.
#[derive(Clone, Debug)]
pub struct Layer<T> {
    /// `[hidden]`.
    pub attention_norm: T,
    /// Queries, keys and values stacked: `[q_dim + 2·kv_dim, hidden]`.
    pub qkv: Projection<T>,
    /// `[head_dim]` each (Qwen3).
    pub qk_norm: Option<(T, T)>,
    /// `[hidden, q_dim]`.
    pub output: Projection<T>,
    /// `[hidden]`.
    pub mlp_norm: T,
    /// Gate and up stacked: `[2·intermediate, hidden]`.
    pub gate_up: Projection<T>,
    /// `[hidden, intermediate]`.
    pub down: Projection<T>,
}

/// The tensors of latent-attention pooling (Lee et al., "NV-Embed", arXiv 2405.17428, section 3.1.2).
#[derive(Clone, Debug)]
pub struct Latent<T> {
    /// What the tokens read: `[latents, hidden]`.
    pub vectors: T,
    /// A layer whose queries are the tokens' and whose keys and values are the vectors'.
    pub layer: Layer<T>,
}

/// The tensors of a decoder.
#[derive(Clone, Debug)]
pub struct Parameters<T> {
    /// `[vocab, hidden]`; also the output head where the head is tied.
    pub embedding: T,
    /// The layers, first to last.
    pub layers: Vec<Layer<T>>,
    /// Above the final norm, where the model pools by latent attention.
    pub latent: Option<Latent<T>>,
    /// Final norm, `[hidden]`.
    pub norm: T,
    /// Untied output head, `[vocab, hidden]`.
    pub head: Option<T>,
}

impl<T> Projection<T> {
    fn try_map<'a, U, E>(
        &'a self,
        f: &mut impl FnMut(&'a T) -> Result<U, E>,
    ) -> Result<Projection<U>, E> {
        Ok(Projection {
            weight: f(&self.weight)?,
            bias: self.bias.as_ref().map(f).transpose()?,
        })
    }

    fn each_mut<'a>(&'a mut self, all: &mut Vec<&'a mut T>) {
        all.push(&mut self.weight);
        all.extend(self.bias.as_mut());
    }
}

impl<T> Layer<T> {
    fn try_map<'a, U, E>(
        &'a self,
        f: &mut impl FnMut(&'a T) -> Result<U, E>,
    ) -> Result<Layer<U>, E> {
        Ok(Layer {
            attention_norm: f(&self.attention_norm)?,
            qkv: self.qkv.try_map(f)?,
            qk_norm: match &self.qk_norm {
                None => None,
                Some((q, k)) => Some((f(q)?, f(k)?)),
            },
            output: self.output.try_map(f)?,
            mlp_norm: f(&self.mlp_norm)?,
            gate_up: self.gate_up.try_map(f)?,
            down: self.down.try_map(f)?,
        })
    }

    pub(super) fn each_mut<'a>(&'a mut self, all: &mut Vec<&'a mut T>) {
        all.push(&mut self.attention_norm);
        self.qkv.each_mut(all);
        if let Some((q, k)) = &mut self.qk_norm {
            all.extend([q, k]);
        }
        self.output.each_mut(all);
        all.push(&mut self.mlp_norm);
        self.gate_up.each_mut(all);
        self.down.each_mut(all);
    }
}

impl<T> Parameters<T> {
    /// The same tree with `f` of every tensor, in the order of [`Parameters::iter`].
    pub fn try_map<'a, U, E>(
        &'a self,
        mut f: impl FnMut(&'a T) -> Result<U, E>,
    ) -> Result<Parameters<U>, E> {
        let f = &mut f;
        let embedding = f(&self.embedding)?;
        let layers = self.layers.iter().map(|l| l.try_map(f));
        let layers = layers.collect::<Result<Vec<_>, E>>()?;
        let latent = match &self.latent {
            None => None,
            Some(latent) => Some(Latent {
                vectors: f(&latent.vectors)?,
                layer: latent.layer.try_map(f)?,
            }),
        };
        Ok(Parameters {
            embedding,
            layers,
            latent,
            norm: f(&self.norm)?,
            head: self.head.as_ref().map(f).transpose()?,
        })
    }

    /// The same tree with `f` of every tensor.
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> U) -> Parameters<U> {
        let mapped = self.try_map(|t| Ok::<U, std::convert::Infallible>(f(t)));
        match mapped {
            Ok(tree) => tree,
            Err(never) => match never {},
        }
    }

    /// Every tensor in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut all = Vec::new();
        self.map(|t| all.push(t));
        all.into_iter()
    }

    /// Every tensor in the order of [`Parameters::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let mut all = vec![&mut self.embedding];
        for layer in &mut self.layers {
            layer.each_mut(&mut all);
        }
        if let Some(latent) = &mut self.latent {
            all.push(&mut latent.vectors);
            latent.layer.each_mut(&mut all);
        }
        all.push(&mut self.norm);
        all.extend(self.head.as_mut());
        all.into_iter()
    }
}
