//! `names!`: an enumeration of libxl's schema: named values, one of them initial.

/// Defines a public enumeration, its names and its JSON form. The value marked `#[default]` is libxl's initial one.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident, $what:literal {
        $($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every value with its name, in libxl's order.
            pub const ALL: &'static [($name, &'static str)] = &[$(($name::$variant, $text)),*];

            /// libxl's name of the value.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

            /// The value of that name; libxl does not tell capitals from small letters.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|(_, text)| text.eq_ignore_ascii_case(name)).map(|(value, _)| *value)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl $crate::json::Json for $name {
            fn to_json(&self) -> serde_json::Value {
                serde_json::Value::from(self.name())
            }

            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::JsonError> {
                // libxl writes null for a value that has no name.
                if value.is_null() {
                    return Ok(Self::default());
                }
                value.as_str().and_then(Self::from_name).ok_or_else(|| $crate::json::JsonError::new($what, value))
            }

            fn is_initial(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

pub(crate) use names;
