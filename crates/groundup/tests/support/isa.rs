//! Which ISA the binary was told to use.

/// Whether it is the portable one, which takes some two hundred times as long.
pub fn is_portable() -> bool {
    std::env::var_os("GROUNDUP_ISA").is_some_and(|isa| isa == "portable")
}
