//! Reading typed fields out of a JSON object, with errors that say where.

use std::path::Path;

use serde_json::{Map, Value};

use super::error::ModelError;

/// A JSON object being read, remembering where it stands for its errors. `null` is absence.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    prefix: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: &'a Path, prefix: &str, json: &'a Value) -> Result<Self, ModelError> {
        let map = json
            .as_object()
            .ok_or_else(|| ModelError::format(path, format!("{prefix}: expected a JSON object")))?;
        Ok(Self {
            path,
            prefix: prefix.to_owned(),
            map,
        })
    }

    pub(crate) fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    pub(crate) fn error(&self, field: &str, message: impl Into<String>) -> ModelError {
        ModelError::field(self.path, &format!("{}{field}", self.prefix), message)
    }

    fn get<T>(
        &self,
        field: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.error(field, format!("expected {expected}, found {value}"))),
        }
    }

    pub(crate) fn object(&self, field: &str) -> Result<Option<Fields<'a>>, ModelError> {
        let map = self.get(field, "an object", Value::as_object)?;
        Ok(map.map(|map| Fields {
            path: self.path,
            prefix: format!("{}{field}.", self.prefix),
            map,
        }))
    }

    pub(crate) fn string(&self, field: &str) -> Result<Option<&'a str>, ModelError> {
        self.get(field, "a string", Value::as_str)
    }

    pub(crate) fn number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        self.get(field, "a number", Value::as_f64)
    }

    pub(crate) fn bool(&self, field: &str) -> Result<Option<bool>, ModelError> {
        self.get(field, "true or false", Value::as_bool)
    }

    pub(crate) fn optional_size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        self.get(field, "a positive integer", |value| {
            usize::try_from(value.as_u64()?).ok()
        })
    }

    pub(crate) fn size(&self, field: &str) -> Result<usize, ModelError> {
        self.optional_size(field)?
            .ok_or_else(|| self.error(field, "expected a positive integer, found nothing"))
    }

    /// One id or a list of them.
    pub(crate) fn token_ids(&self, field: &str) -> Result<Vec<u32>, ModelError> {
        let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let ids = self.get(field, "a token id or a list of them", |value| match value {
            Value::Array(ids) => ids.iter().map(id).collect(),
            // Written by some converters for "none".
            Value::Number(n) if n.as_i64() == Some(-1) => Some(Vec::new()),
            one => Some(vec![id(one)?]),
        })?;
        Ok(ids.unwrap_or_default())
    }
}
