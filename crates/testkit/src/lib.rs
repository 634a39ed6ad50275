//! Comparators, plain f64 references, gradient checks, shape lists and poisoned buffers
