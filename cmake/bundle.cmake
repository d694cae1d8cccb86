# `cmake --build build/release --target bundle`: a folder build/release/bundle that runs on another
# Linux machine with no more than glibc, the NVIDIA driver and, for GPUs, the CUDA libraries there.
# It holds the programs below and gpu/run.sh, which uses them to check and measure a GPU (docs/gpu.md).
# Build with -DTRIREME_ARCH=x86-64-v3 unless the other machine has this one's CPU.
set(programs)
foreach(program trireme trireme-train
        ops_test autograd_test gpu_test
        training_step_benchmark resnet_step_benchmark mlp_step_benchmark lstm_step_benchmark
        op_overhead_benchmark gpt_kernels_benchmark kernels_benchmark all_reduce_benchmark)
  if(TARGET ${program})  # tests and benchmarks may be off
    list(APPEND programs ${program})
  endif()
endforeach()
add_custom_target(bundle
  COMMAND ${CMAKE_SOURCE_DIR}/cmake/bundle.sh ${CMAKE_BINARY_DIR} ${CMAKE_BINARY_DIR}/bundle ${programs}
  VERBATIM)
add_dependencies(bundle ${programs})
