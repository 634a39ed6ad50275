//! IDX files, the MNIST data set, its download, and synthetic digits
