//! Settings files: typed access to a JSON object.

use super::fail;
use super::json::{Json, Object};
use crate::{FormatKind, Result};

/// Bytes of settings that are read.
const MAX_LENGTH: usize = 1 << 24;

/// A JSON object whose values are asked for by key and type; null is the same as absent.
#[derive(Debug, Clone)]
pub(super) struct Settings<'a>(Object<'a>);

impl<'a> Settings<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > MAX_LENGTH {
            return Err(fail(FormatKind::Limit, "settings of at most 16 MiB", 0));
        }
        match Json::parse(bytes, FormatKind::Config)? {
            Json::Object(object) => Ok(Self(object)),
            _ => Err(fail(FormatKind::Config, "settings that are a JSON object", 0)),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The object at `key`, empty where there is none.
    pub(super) fn inside(&self, key: &'static str) -> Result<Self> {
        Ok(Self(self.typed(key, Json::object)?.cloned().unwrap_or_default()))
    }

    pub(super) fn text(&self, key: &'static str) -> Result<Option<&str>> {
        self.typed(key, Json::text)
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<Option<bool>> {
        self.typed(key, Json::flag)
    }

    pub(super) fn number(&self, key: &'static str) -> Result<Option<f64>> {
        self.typed(key, Json::number)
    }

    /// A number that must be finite and above 0.
    pub(super) fn positive(&self, key: &'static str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(x) if !(x > 0.0 && x.is_finite()) => Err(fail(FormatKind::Config, key, 0)),
            x => Ok(x),
        }
    }

    pub(super) fn count(&self, key: &'static str) -> Result<Option<usize>> {
        self.typed(key, Json::count)
    }

    fn typed<'b, V>(&'b self, key: &'static str, of: impl Fn(&'b Json<'a>) -> Option<V>) -> Result<Option<V>> {
        self.get(key).map(|value| of(value).ok_or(fail(FormatKind::Config, key, 0))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_that_is_asked_for() {
        let settings = Settings::parse(br#"{"a": 3, "b": "x", "c": null, "d": {"e": true}, "f": -1.5}"#).unwrap();
        assert_eq!((settings.count("a"), settings.text("b")), (Ok(Some(3)), Ok(Some("x"))));
        assert_eq!((settings.count("c"), settings.has("c"), settings.flag("z")), (Ok(None), false, Ok(None)));
        assert_eq!(settings.inside("d").unwrap().flag("e"), Ok(Some(true)));
        assert!(!settings.inside("z").unwrap().has("e"));
        assert_eq!((settings.number("f"), settings.positive("a")), (Ok(Some(-1.5)), Ok(Some(3.0))));
        let wrong = |error| assert_eq!(error, fail(FormatKind::Config, "b", 0));
        wrong(settings.count("b").unwrap_err());
        wrong(settings.inside("b").unwrap_err());
        assert!(settings.positive("f").is_err() && settings.count("f").is_err());
        assert!(Settings::parse(b"[]").is_err());
    }
}
