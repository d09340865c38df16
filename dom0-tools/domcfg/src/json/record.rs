//! `record!`: a structure of libxl's schema, with its JSON form. A member's key is its name unless `as "key"` says otherwise.

/// Defines a public structure and its JSON form.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $member:ident $(as $key:literal)? : $kind:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $member: $kind,)*
        }

        impl $crate::json::Json for $name {
            fn to_json(&self) -> serde_json::Value {
                let mut record = serde_json::Map::new();
                $($crate::json::Json::write_member(&self.$member, $crate::json::record!(@key $member $($key)?), &mut record);)*
                serde_json::Value::Object(record)
            }

            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::JsonError> {
                let record = value.as_object().ok_or_else(|| $crate::json::JsonError::new("an object", value))?;
                Ok(Self {
                    $($member: $crate::json::Json::read_member($crate::json::record!(@key $member $($key)?), record)?,)*
                })
            }

            fn is_initial(&self) -> bool {
                false
            }
        }
    };
    (@key $member:ident $key:literal) => { $key };
    (@key $member:ident) => { stringify!($member) };
}

pub(crate) use record;
