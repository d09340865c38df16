//! A domain's life: creation, shutdown, death, and what happens after.
