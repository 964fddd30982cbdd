//! Reading of golden files, with every key that is read marked as used.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use limpid::Scalar;
use ndarray::{Array, ArrayD, Dimension, IxDyn};
use serde_json::{Map, Value};

/// One golden file.
pub struct File {
    pub primitive: String,
    pub float32: bool,
    pub cases: Vec<Case>,
}

/// One case of a file.
pub struct Case {
    pub name: String,
    pub given: Map<String, Value>,
    pub expect: Map<String, Value>,
    pub tolerance: (f64, f64),
}

impl File {
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let primitive = value["primitive"].as_str().ok_or("no primitive")?.to_owned();
        let cases = value["cases"].as_array().ok_or("no cases")?.iter().map(Case::parse).collect::<Result<_, _>>()?;
        Ok(Self { primitive, float32: value["float32"].as_bool().unwrap_or(true), cases })
    }
}

impl Case {
    fn parse(value: &Value) -> Result<Self, String> {
        let name = value["name"].as_str().ok_or("a case without a name")?.to_owned();
        let object = |key: &str| value[key].as_object().cloned().ok_or(format!("{name}: no {key}"));
        let bound = |key: &str| value["tolerance"][key].as_f64().ok_or(format!("{name}: no tolerance"));
        let (given, expect) = (object("given")?, object("expect")?);
        let tolerance = (bound("absolute")?, bound("relative")?);
        Ok(Self { given, expect, tolerance, name })
    }
}

/// A value of `expect`, or what was computed for it.
#[derive(Debug)]
pub enum Outcome {
    Undefined,
    Number(f64),
    Flag(bool),
    Text(String),
    Tensor(Vec<usize>, Vec<f64>),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// What a primitive gives back, key by key.
pub type Produced = Vec<(&'static str, Outcome)>;

impl Outcome {
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::Undefined),
            Value::Object(object) if object.contains_key("shape") => {
                let tensor = tensor(value)?;
                Ok(Self::Tensor(tensor.shape().to_vec(), tensor.into_iter().collect()))
            }
            Value::Object(object) => {
                let entries = object.iter().map(|(key, value)| Ok((key.clone(), Self::parse(value)?)));
                entries.collect::<Result<_, String>>().map(Self::Object)
            }
            Value::Array(list) => list.iter().map(Self::parse).collect::<Result<_, _>>().map(Self::List),
            Value::Bool(flag) => Ok(Self::Flag(*flag)),
            Value::String(text) => Ok(Self::text(text)),
            Value::Number(_) => Ok(Self::Number(number(value)?)),
        }
    }

    /// A text; those that stand for numbers JSON does not have are these numbers.
    pub fn text(text: &str) -> Self {
        number(&Value::from(text)).map_or_else(|_| Self::Text(text.to_owned()), Self::Number)
    }

    pub fn number<T: Scalar>(x: T) -> Self {
        Self::Number(x.as_f64())
    }

    pub fn count(x: usize) -> Self {
        Self::Number(x as f64)
    }

    pub fn tensor<T: Scalar, D: Dimension>(x: &Array<T, D>) -> Self {
        Self::Tensor(x.shape().to_vec(), x.iter().map(|x| x.as_f64()).collect())
    }

    pub fn counts(x: &[usize]) -> Self {
        Self::Tensor(vec![x.len()], x.iter().map(|&x| x as f64).collect())
    }

    pub fn list<V>(values: impl IntoIterator<Item = V>, of: impl Fn(V) -> Self) -> Self {
        Self::List(values.into_iter().map(of).collect())
    }

    pub fn object(entries: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub fn optional<T: Scalar>(x: Option<T>) -> Self {
        x.map_or(Self::Undefined, Self::number)
    }
}

/// The `given` of a case.
pub struct Given<'a> {
    values: &'a Map<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Given<'a> {
    pub fn new(values: &'a Map<String, Value>) -> Self {
        Self { values, used: RefCell::default() }
    }

    /// Keys that nobody read.
    pub fn unused(&self) -> impl Iterator<Item = &String> {
        self.values.keys().filter(|key| !self.used.borrow().contains(*key))
    }

    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The object at `key`; its own keys are checked with [`Given::done`].
    pub fn nested(&self, key: &str) -> Result<Self, String> {
        self.get(key)?.as_object().map(Given::new).ok_or(format!("{key} is not an object"))
    }

    /// The objects of the list at `key`.
    pub fn list(&self, key: &str) -> Result<&'a Vec<Value>, String> {
        self.get(key)?.as_array().ok_or(format!("{key} is not a list"))
    }

    /// Fails where a key was not read.
    pub fn done(&self) -> Result<(), String> {
        self.unused().next().map_or(Ok(()), |key| Err(format!("unknown key {key}")))
    }

    pub fn flag(&self, key: &str) -> Result<bool, String> {
        self.get(key)?.as_bool().ok_or(format!("{key} is not a truth value"))
    }

    /// The truth value at `key`, false where there is none.
    pub fn flag_or_false(&self, key: &str) -> Result<bool, String> {
        if self.has(key) { self.flag(key) } else { Ok(false) }
    }

    pub fn flags(&self, key: &str) -> Result<Vec<bool>, String> {
        let flag = |value: &Value| value.as_bool().ok_or(format!("{key} holds something that is not a truth value"));
        self.list(key)?.iter().map(flag).collect()
    }

    /// Numbers of a plain list; `None` for null.
    pub fn numbers(&self, key: &str) -> Result<Vec<Option<f64>>, String> {
        let read = |value: &Value| if value.is_null() { Ok(None) } else { number(value).map(Some) };
        self.list(key)?.iter().map(read).collect()
    }

    /// Whether the value at `key` is null.
    pub fn is_null(&self, key: &str) -> bool {
        self.acknowledge(key);
        self.values.get(key).is_some_and(Value::is_null)
    }

    /// Marks a key as understood without reading it.
    pub fn acknowledge(&self, key: &str) {
        self.used.borrow_mut().insert(key.to_owned());
    }

    fn get(&self, key: &str) -> Result<&'a Value, String> {
        self.acknowledge(key);
        self.values.get(key).ok_or(format!("no key {key} in given"))
    }

    pub fn text(&self, key: &str) -> Result<&'a str, String> {
        self.get(key)?.as_str().ok_or(format!("{key} is not a string"))
    }

    pub fn number(&self, key: &str) -> Result<f64, String> {
        number(self.get(key)?).map_err(|error| format!("{key}: {error}"))
    }

    pub fn scalar<T: Scalar>(&self, key: &str) -> Result<T, String> {
        self.number(key).map(T::of)
    }

    pub fn count(&self, key: &str) -> Result<usize, String> {
        let count = self.get(key)?.as_u64().and_then(|count| usize::try_from(count).ok());
        count.ok_or(format!("{key} is not a count"))
    }

    pub fn counts(&self, key: &str) -> Result<Vec<usize>, String> {
        let list = self.get(key)?.as_array().ok_or(format!("{key} is not a list"))?;
        let count = |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok());
        list.iter().map(|value| count(value).ok_or(format!("{key} holds something that is not a count"))).collect()
    }

    pub fn pair(&self, key: &str) -> Result<(f64, f64), String> {
        match self.get(key)?.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok((number(first)?, number(second)?)),
            _ => Err(format!("{key} is not a pair")),
        }
    }

    pub fn tensor<T: Scalar>(&self, key: &str) -> Result<ArrayD<T>, String> {
        Ok(tensor(self.get(key)?).map_err(|error| format!("{key}: {error}"))?.mapv(T::of))
    }

    pub fn array<T: Scalar, D: Dimension>(&self, key: &str) -> Result<Array<T, D>, String> {
        self.tensor::<T>(key)?.into_dimensionality().map_err(|error| format!("{key}: {error}"))
    }
}

pub fn number(value: &Value) -> Result<f64, String> {
    match (value.as_f64(), value.as_str()) {
        (Some(x), _) => Ok(x),
        (_, Some("nan")) => Ok(f64::NAN),
        (_, Some("inf")) => Ok(f64::INFINITY),
        (_, Some("-inf")) => Ok(f64::NEG_INFINITY),
        _ => Err(format!("{value} is not a number")),
    }
}

pub fn tensor(value: &Value) -> Result<ArrayD<f64>, String> {
    let list = |key: &str| value[key].as_array().ok_or(format!("a tensor without {key}"));
    let shape: Option<Vec<usize>> =
        list("shape")?.iter().map(|axis| axis.as_u64().and_then(|axis| usize::try_from(axis).ok())).collect();
    let data = list("data")?.iter().map(number).collect::<Result<Vec<f64>, _>>()?;
    ArrayD::from_shape_vec(IxDyn(&shape.ok_or("a shape that is not a list of counts")?), data)
        .map_err(|error| error.to_string())
}
