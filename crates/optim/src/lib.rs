//! The optimizers of the chapter, in the book's and in PyTorch's form, and learning-rate schedules
