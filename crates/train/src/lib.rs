//! The training loop, its history and log, and hyper-parameter search
