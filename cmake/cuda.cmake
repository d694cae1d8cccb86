# The CUDA language, in builds that have CUDA.
#
# The runtime is linked statically, so that programs start on machines without toolkit and driver.
# The driver and everything on top of the toolkit (cuBLASLt, cuDNN, NCCL, NVML) is opened at run time.
#
# nvcc's flags are the same in every build type, and the code it compiles has no asserts of the build
# type's own: so ccache compiles a .cu file once for all presets.
if(NOT TRIREME_HAS_CUDA)
  return()
endif()

if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${TRIREME_NVCC})
endif()
set(CMAKE_CUDA_ARCHITECTURES ${TRIREME_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
if(TRIREME_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${TRIREME_CCACHE})
endif()
enable_language(CUDA)

set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
# CMake 3.25 does not know that this nvcc speaks C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)

foreach(type DEBUG RELEASE RELWITHDEBINFO MINSIZEREL)
  set(CMAKE_CUDA_FLAGS_${type} "-O3")
endforeach()
# -lineinfo lets profilers and compute-sanitizer name source lines; it does not change the code.
string(APPEND CMAKE_CUDA_FLAGS " -lineinfo --extended-lambda --expt-relaxed-constexpr"
                               " -Xcompiler=-Wall,-Wextra,-fopenmp")
if(TRIREME_WERROR)
  string(APPEND CMAKE_CUDA_FLAGS " -Werror=all-warnings")
endif()
