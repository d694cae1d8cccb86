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
trireme_optional(CUDA CUDAToolkit_FOUND)
set(TRIREME_CUDA_VERSION "${CUDAToolkit_VERSION}")

if(NOT TRIREME_NCCL STREQUAL "OFF")
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  if(NCCL_INCLUDE_DIR)
    file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h nccl_lines REGEX "#define NCCL_(MAJOR|MINOR|PATCH) ")
    string(REGEX REPLACE "[^0-9;]" "" nccl_numbers "${nccl_lines}")
    string(REPLACE ";" "." TRIREME_NCCL_VERSION "${nccl_numbers}")
  endif()
endif()
trireme_optional(NCCL NCCL_INCLUDE_DIR)

if(NOT TRIREME_MPI STREQUAL "OFF")
  find_package(MPI QUIET COMPONENTS C)
endif()
trireme_optional(MPI MPI_C_FOUND)
set(TRIREME_MPI_VERSION "${MPI_C_VERSION}")

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
