//! How structures and numbers are declared, so that one text gives the Rust item, its compile-time check and its row in the comparison
//! with Xen's headers.

/// A structure as declared here, to be compared with Xen's header.
#[derive(Copy, Clone, Debug)]
pub struct Layout {
    /// Name of the type in C.
    pub c_name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// The fields in order, padding left out.
    pub fields: &'static [FieldLayout],
}

/// A field of a [`Layout`].
#[derive(Copy, Clone, Debug)]
pub struct FieldLayout {
    /// Name in Rust.
    pub name: &'static str,
    /// Designator in C where it is not the same name.
    pub c_name: Option<&'static str>,
    /// Bytes from the start of the structure.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// A constant as declared here, to be compared with Xen's header.
#[derive(Copy, Clone, Debug)]
pub struct Number {
    /// Name in Rust: Xen's in upper case.
    pub name: &'static str,
    /// Name in C where upper case does not lead back to it.
    pub c_name: Option<&'static str>,
    /// The value, sign-extended or reinterpreted to 64 bits.
    pub value: i64,
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

/// Declares structures as `pub struct Name("C type", size) { offset field: type => "C designator", }` and the module's `LAYOUTS`.
///
/// Size and offsets are checked at compile time. The C designator is given only where it differs from the field's name.
macro_rules! structures {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident($c_name:literal, $size:literal) {
            $($(#[$field_meta:meta])* $offset:literal $field:ident: $kind:ty $(=> $designator:literal)?,)*
        }
    )*) => {
        $(
            $(#[$meta])*
            #[doc = concat!("\n\nXen's `", $c_name, "`, ", $size, " bytes.")]
            #[derive(Copy, Clone, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
            #[repr(C)]
            pub struct $name {
                $($(#[$field_meta])* #[doc = concat!("(Offset ", $offset, ".)")] pub $field: $kind,)*
            }

            impl Default for $name {
                fn default() -> Self {
                    zerocopy::FromZeros::new_zeroed()
                }
            }

            const _: () = assert!(core::mem::size_of::<$name>() == $size);
            $(const _: () = assert!(core::mem::offset_of!($name, $field) == $offset);)*
        )*

        /// The structures of this module, for the comparison with Xen's header.
        pub const LAYOUTS: &[$crate::Layout] = &[$($crate::Layout {
            c_name: $c_name,
            size: $size,
            fields: &[$($crate::FieldLayout {
                name: stringify!($field),
                c_name: optional!($($designator)?),
                offset: $offset,
                size: core::mem::size_of::<$kind>(),
            },)*],
        },)*];
    };
}

/// Declares constants and the module's `NUMBERS`. The C name is given only where upper case does not lead back to it.
macro_rules! numbers {
    ($($(#[$meta:meta])* pub const $name:ident: $kind:ty = $value:expr $(=> $c_name:literal)?;)*) => {
        $(
            $(#[$meta])*
            #[doc = concat!("(`", stringify!($value), "`)")]
            pub const $name: $kind = $value;
        )*

        /// The constants of this module, for the comparison with Xen's header.
        pub const NUMBERS: &[$crate::Number] = &[$($crate::Number {
            name: stringify!($name),
            c_name: optional!($($c_name)?),
            value: $name as i64,
        },)*];
    };
}
