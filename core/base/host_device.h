// Marks functions that both the CPU and the CUDA kernels use.

#pragma once

#ifdef __CUDACC__
#define TRIREME_HD __host__ __device__
#else
#define TRIREME_HD
#endif
