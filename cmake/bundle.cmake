# `cmake --build build/release --target bundle`: a folder build/release/bundle that runs on another
# Linux machine with no more than glibc, the NVIDIA driver and, for GPUs, the CUDA libraries there.
# Build with -DTRIREME_ARCH=x86-64-v3 unless the other machine has this one's CPU.
add_custom_target(bundle
  COMMAND ${CMAKE_SOURCE_DIR}/cmake/bundle.sh ${CMAKE_BINARY_DIR} ${CMAKE_BINARY_DIR}/bundle
  VERBATIM)
foreach(part trireme trireme-train)
  add_dependencies(bundle ${part})
endforeach()
