//! The builtin types of libxl's schema: numbers, flags, strings and lists.

use serde_json::{Map, Value};

use super::{Json, JsonError};

/// Numbers whose initial value is zero, and numbers that may be absent (libxl marks them by a value no one may use).
macro_rules! number {
    ($($kind:ty, $what:literal;)*) => { $(
        impl Json for $kind {
            fn to_json(&self) -> Value {
                Value::from(*self)
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
                number.and_then(|number| <$kind>::try_from(number).ok()).ok_or_else(|| JsonError::new($what, value))
            }

            fn is_initial(&self) -> bool {
                *self == 0
            }
        }

        impl Json for Option<$kind> {
            fn to_json(&self) -> Value {
                self.map_or(Value::Null, Value::from)
            }

            fn from_json(value: &Value) -> Result<Self, JsonError> {
                // A literal -1, or the type's largest number, stands for "not set" in files of other versions.
                if value.as_i64() == Some(-1) || value.as_u64() == Some(u64::MAX) {
                    return Ok(None);
                }
                <$kind>::from_json(value).map(Some)
            }

            fn is_initial(&self) -> bool {
                self.is_none()
            }
        }
    )* };
}

number! {
    u8, "a number from 0 to 255";
    u32, "a number of 32 bits";
    i32, "a number of 32 bits";
    u64, "a number of 64 bits";
}

impl Json for bool {
    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        value
            .as_bool()
            .ok_or_else(|| JsonError::new("true or false", value))
    }

    fn is_initial(&self) -> bool {
        !*self
    }
}

/// libxl's `defbool`: yes, no, or the default of whoever reads it.
impl Json for Option<bool> {
    fn to_json(&self) -> Value {
        Value::from(match self {
            Some(true) => "True",
            Some(false) => "False",
            None => "<default>",
        })
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        match value.as_str() {
            Some("True") => Ok(Some(true)),
            Some("False") => Ok(Some(false)),
            Some("<default>") => Ok(None),
            _ => Err(JsonError::new(
                "\"True\", \"False\" or \"<default>\"",
                value,
            )),
        }
    }

    fn is_initial(&self) -> bool {
        self.is_none()
    }
}

impl Json for String {
    fn to_json(&self) -> Value {
        Value::from(self.as_str())
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| JsonError::new("a string", value))
    }

    fn is_initial(&self) -> bool {
        self.is_empty()
    }
}

impl Json for Option<String> {
    fn to_json(&self) -> Value {
        self.as_deref().map_or(Value::Null, Value::from)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        match value {
            Value::Null => Ok(None),
            value => String::from_json(value).map(Some),
        }
    }

    fn is_initial(&self) -> bool {
        self.is_none()
    }
}

impl<T: Json> Json for Vec<T> {
    fn to_json(&self) -> Value {
        self.iter().map(Json::to_json).collect()
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let items = value
            .as_array()
            .ok_or_else(|| JsonError::new("an array", value))?;
        let read =
            |(index, item)| T::from_json(item).map_err(|error| error.within(&format!("[{index}]")));
        items.iter().enumerate().map(read).collect()
    }

    fn is_initial(&self) -> bool {
        self.is_empty()
    }
}

/// libxl's `key_value_list`: names and strings, in order.
impl Json for Vec<(String, Option<String>)> {
    fn to_json(&self) -> Value {
        Value::Object(
            self.iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect(),
        )
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let record: &Map<String, Value> = value
            .as_object()
            .ok_or_else(|| JsonError::new("an object", value))?;
        let read = |(key, value): (&String, &Value)| {
            let text = Option::<String>::from_json(value).map_err(|error| error.within(key))?;
            Ok((key.clone(), text))
        };
        record.iter().map(read).collect()
    }

    fn is_initial(&self) -> bool {
        self.is_empty()
    }
}
