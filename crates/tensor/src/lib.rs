//! Strided arrays, the ISA layer, vector math, reductions and the GEMM
