//! Configuration files of domains, xl.cfg(5): grammar, keys and their types.
