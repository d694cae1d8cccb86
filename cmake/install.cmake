# `cmake --install build/release --prefix DIR`: programs, libraries, headers below include/trireme,
# and what find_package(trireme) needs; then `target_link_libraries(app trireme::distributed)`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/trireme)
set(libraries trireme_base trireme_cuda trireme_metrics trireme_kernels trireme_core
    trireme_rendezvous trireme_distributed)
foreach(library ${libraries})
  string(REPLACE "trireme_" "" short_name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${short_name})
endforeach()

install(TARGETS trireme trireme-train RUNTIME COMPONENT programs)
install(TARGETS ${libraries} EXPORT trireme-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/trireme COMPONENT development)
install(DIRECTORY core kernels distributed
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/trireme COMPONENT development
        FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_BINARY_DIR}/generated/core/base/config.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/trireme/core/base COMPONENT development)
install(EXPORT trireme-targets NAMESPACE trireme:: DESTINATION ${package_dir}
        COMPONENT development)

configure_package_config_file(cmake/trireme-config.cmake.in ${CMAKE_BINARY_DIR}/trireme-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/trireme-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/trireme-config.cmake
              ${CMAKE_BINARY_DIR}/trireme-config-version.cmake
        DESTINATION ${package_dir} COMPONENT development)
