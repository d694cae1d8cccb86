# Helpers: trireme_library, trireme_program, trireme_test, and the flags all of ours share.

# Flags of the C++ compiler; those of nvcc stand in cmake/cuda.cmake.
add_library(trireme_flags INTERFACE)
function(trireme_compile_options)
  target_compile_options(trireme_flags INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${ARGN}>")
endfunction()
trireme_compile_options(-Wall -Wextra -Wshadow
                        $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # g++ 12 is wrong about std::string
                        -fno-semantic-interposition  # PIC code may still inline its own calls
                        -march=${TRIREME_ARCH})
if(TRIREME_WERROR)
  trireme_compile_options(-Werror)
endif()
# Debug builds still train in the tests, so they are optimised a little; asserts are always on.
trireme_compile_options($<$<CONFIG:Debug>:-O1>)
if(TRIREME_SANITIZE)
  trireme_compile_options(-fsanitize=${TRIREME_SANITIZE} -fno-sanitize-recover=all
                          -fno-omit-frame-pointer)
  target_link_options(trireme_flags INTERFACE -fsanitize=${TRIREME_SANITIZE})
  # What sanitizers add to the code makes g++ see variables without value where there are none; the
  # other builds keep the warning.
  trireme_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

# g++ 12 on AVX-512 copies a struct that begins with equal numbers and ends with zeros wrongly: 32 bytes
# of a, a, 0, 0 become a, a, a, a (CopiedOptions in tests/base/compiler_test.cc). That is what
# Conv2dOptions are. Copies of 16 bytes at a time are right. Programs that use the libraries need it too.
set(TRIREME_COPY_FLAGS)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  foreach(flag -mmove-max=128 -mstore-max=128)  # g++ has them from version 12 on
    list(APPEND TRIREME_COPY_FLAGS
         "$<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,12>>:${flag}>")
  endforeach()
endif()

# trireme_library(name LINK libs...): an empty library; its folders add their sources with
# target_sources(name PRIVATE ...).
function(trireme_library name)
  cmake_parse_arguments(ARG "" "" "LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  string(REPLACE "trireme_" "trireme::" alias ${name})
  add_library(${alias} ALIAS ${name})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:include/trireme>)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_compile_options(${name} PUBLIC ${TRIREME_COPY_FLAGS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE $<BUILD_INTERFACE:trireme_flags>
                        ${ARG_PRIVATE_LINK})
endfunction()

# trireme_program(name SOURCES files... LINK libs...): an executable in build/<preset>/bin.
function(trireme_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} trireme_flags)
endfunction()

# trireme_test(name SOURCES files... LINK libs... LABELS labels... [PROCESSORS n]): a GoogleTest
# program whose cases become ctest entries. PROCESSORS is the number of cores a case keeps busy, 1
# unless told: ctest runs fewer such cases at once. Cases that start mpirun get the label mpi as well,
# which is told by their names: suite Mpi, parameter mpi_*, or OverMpi or UnderMpi anywhere.
function(trireme_test name)
  cmake_parse_arguments(ARG "" "PROCESSORS" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_PROCESSORS)
    set(ARG_PROCESSORS 1)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} trireme_flags GTest::gtest GTest::gmock
                        GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES)
  # In a file of its own, because gtest_discover_tests cannot pass on a list of labels.
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake
       "foreach(test IN LISTS ${name}_TESTS)\n"
       "  set(labels \"${ARG_LABELS}\")\n"
       "  if(test MATCHES \"^Mpi\\\\.|/mpi_|OverMpi|UnderMpi\")\n"
       "    list(APPEND labels mpi)\n"
       "  endif()\n"
       "  set_tests_properties(\${test} PROPERTIES LABELS \"\${labels}\" TIMEOUT 300 "
       "PROCESSORS ${ARG_PROCESSORS})\n"
       "endforeach()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES
               ${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake)
endfunction()
include(GoogleTest)

# trireme_script_test(name COMMAND command... LABELS labels... [TIMEOUT seconds] [PROCESSORS n]): a
# command as a test. It skips by ending with status 77 after printing "skipped: reason".
function(trireme_script_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;PROCESSORS" "COMMAND;LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND ${ARG_COMMAND})
  foreach(property TIMEOUT PROCESSORS)
    if(ARG_${property})
      set_tests_properties(${name} PROPERTIES ${property} ${ARG_${property}})
    endif()
  endforeach()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" SKIP_RETURN_CODE 77)
endfunction()
