# What Trireme needs and what it can use. Nothing is downloaded. Sets TRIREME_HAS_* (true/false,
# as C++ writes them) for config.h, and the versions found.

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(absl REQUIRED)
find_package(dnnl REQUIRED)
if(dnnl_VERSION VERSION_GREATER_EQUAL 3)
  message(FATAL_ERROR "oneDNN ${dnnl_VERSION} was found, but Trireme is written for oneDNN 2 "
                      "(Debian 12 has 2.6), whose interface version 3 has changed. Install "
                      "oneDNN 2 and set dnnl_DIR to its folder lib/cmake/dnnl.")
endif()
find_package(nlohmann_json REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core pull)
find_package(ZLIB REQUIRED)

# trireme_optional(NAME found-variable): applies the AUTO / ON / OFF rule of option TRIREME_<NAME>.
macro(trireme_optional name found)
  set(TRIREME_HAS_${name} false)
  if(NOT TRIREME_${name} STREQUAL "OFF" AND ${found})
    set(TRIREME_HAS_${name} true)
  elseif(TRIREME_${name} STREQUAL "ON")
    message(FATAL_ERROR "TRIREME_${name}=ON, but ${name} was not found")
  endif()
endmacro()

if(NOT TRIREME_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit QUIET)
endif()
# The compiler is part of what is needed: a machine with the run-time libraries only builds for the CPU.
# So are the headers of cuDNN 9; the library itself is loaded at run time.
set(TRIREME_NVCC FALSE)
if(CUDAToolkit_FOUND)
  set(TRIREME_NVCC "${CUDAToolkit_NVCC_EXECUTABLE}")
  find_path(CUDNN_INCLUDE_DIR cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(TRIREME_NVCC AND NOT CUDNN_INCLUDE_DIR)
    message(WARNING "cuDNN 9's header cudnn_graph.h was not found (set CUDNN_INCLUDE_DIR): CUDA is off")
    set(TRIREME_NVCC FALSE)
  endif()
endif()
trireme_optional(CUDA TRIREME_NVCC)
set(TRIREME_CUDA_VERSION "${CUDAToolkit_VERSION}")
# Headers of the profiling library, for traces of what a device did; the library itself is opened at
# run time. Some toolkits come without.
set(TRIREME_HAS_CUPTI false)
if(TRIREME_HAS_CUDA)
  find_path(TRIREME_CUPTI_INCLUDE_DIR cupti.h HINTS ${CUDAToolkit_INCLUDE_DIRS}
            ${CUDAToolkit_LIBRARY_ROOT}/extras/CUPTI/include)
  if(TRIREME_CUPTI_INCLUDE_DIR)
    set(TRIREME_HAS_CUPTI true)
  endif()
endif()

if(NOT TRIREME_NCCL STREQUAL "OFF")
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(NCCL_INCLUDE_DIR)
    file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h nccl_lines REGEX "#define NCCL_(MAJOR|MINOR|PATCH) ")
    string(REGEX REPLACE "[^0-9;]" "" nccl_numbers "${nccl_lines}")
    string(REPLACE ";" "." TRIREME_NCCL_VERSION "${nccl_numbers}")
  endif()
endif()
set(TRIREME_NCCL_USABLE FALSE)  # it needs CUDA
if(NCCL_INCLUDE_DIR AND TRIREME_HAS_CUDA)
  set(TRIREME_NCCL_USABLE TRUE)
endif()
trireme_optional(NCCL TRIREME_NCCL_USABLE)

if(NOT TRIREME_MPI STREQUAL "OFF")
  find_package(MPI QUIET COMPONENTS C)
endif()
trireme_optional(MPI MPI_C_FOUND)
set(TRIREME_MPI_VERSION "${MPI_C_VERSION}")

# PNG and JPEG files, through libpng and libjpeg-turbo.
set(TRIREME_IMAGES_USABLE FALSE)
if(NOT TRIREME_IMAGES STREQUAL "OFF")
  find_package(JPEG QUIET)
  find_package(PNG QUIET)
  if(JPEG_FOUND AND PNG_FOUND)
    set(TRIREME_IMAGES_USABLE TRUE)
  endif()
endif()
trireme_optional(IMAGES TRIREME_IMAGES_USABLE)
set(TRIREME_IMAGE_LIBRARIES)
if(TRIREME_HAS_IMAGES)
  set(TRIREME_IMAGE_LIBRARIES JPEG::JPEG PNG::PNG)
endif()
set(TRIREME_IMAGES_VERSION "libjpeg ${JPEG_VERSION}, libpng ${PNG_VERSION_STRING}")

if(TRIREME_TESTS)
  find_package(GTest QUIET)
  if(NOT GTest_FOUND)
    message(WARNING "GoogleTest was not found: tests are off")
    set(TRIREME_TESTS OFF)
  endif()
endif()
if(TRIREME_BENCHMARKS)
  find_package(benchmark QUIET)
  if(NOT benchmark_FOUND)
    message(WARNING "Google Benchmark was not found: benchmarks are off")
    set(TRIREME_BENCHMARKS OFF)
  endif()
endif()

execute_process(COMMAND git rev-parse --short HEAD WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                OUTPUT_VARIABLE TRIREME_GIT_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
configure_file(core/base/config.h.in ${CMAKE_BINARY_DIR}/generated/core/base/config.h @ONLY)
configure_file(core/base/git_commit.cc.in ${CMAKE_BINARY_DIR}/generated/core/base/git_commit.cc @ONLY)
