# The C++ of a document as a test program, so that the document stays true.
#
#   document_snippets(OUT_VARIABLE DOCUMENT SUITE)
#
# writes a source file and gives its path back. Each ```cpp block becomes one test, compiled and run in
# the document's order, named by its line. A block ```cpp prelude is put in front of every later one, so
# that snippets can share an `x` or a model. A block ```cpp check belongs to the one before it and says
# what came out of it; in a comment of the document (<!-- .. -->) readers do not see it. Compiler messages
# name the line of the document.
function(document_snippets out_variable document suite)
  file(READ ${document} rest)
  set(fence "\n```cpp")
  set(source "#include \"tests/docs/snippet.h\"\n\nnamespace {\nusing namespace trireme;\n")
  set(prelude "")
  set(test "")  # the last one, whose checks may follow
  set(line 1)
  string(FIND "${rest}" "${fence}" at)
  while(at GREATER -1)
    string(SUBSTRING "${rest}" 0 ${at} before)
    string(REGEX REPLACE "[^\n]" "" newlines "${before}")
    string(LENGTH "${newlines}" count)
    math(EXPR line "${line} + ${count} + 1")  # of the fence
    math(EXPR at "${at} + 7")
    string(SUBSTRING "${rest}" ${at} -1 rest)
    string(FIND "${rest}" "\n" end_of_fence)
    string(SUBSTRING "${rest}" 0 ${end_of_fence} tag)
    string(FIND "${rest}" "\n```" end)
    if(end EQUAL -1)
      message(FATAL_ERROR "${document}:${line}: the snippet has no end")
    endif()
    math(EXPR length "${end} - ${end_of_fence}")
    string(SUBSTRING "${rest}" ${end_of_fence} ${length} body)
    math(EXPR first "${line} + 1")
    set(code "\n#line ${first} \"${document}\"${body}\n")
    if(tag MATCHES "prelude")
      string(APPEND prelude "${code}")
    elseif(tag MATCHES "check")
      if(test STREQUAL "")
        message(FATAL_ERROR "${document}:${line}: there is no snippet to check")
      endif()
      string(APPEND test "${code}")
    else()
      if(NOT test STREQUAL "")
        string(APPEND source "${test}}\n")
      endif()
      set(test "TEST(${suite}, Line${line}) {${prelude}${code}")
    endif()
    string(REGEX REPLACE "[^\n]" "" newlines "${body}")
    string(LENGTH "${newlines}" count)
    math(EXPR line "${line} + ${count}")  # the last of the snippet
    string(SUBSTRING "${rest}" ${end} -1 rest)
    string(FIND "${rest}" "\n" skip)
    math(EXPR skip "${skip} + 4")
    string(SUBSTRING "${rest}" ${skip} -1 rest)
    math(EXPR line "${line} + 1")  # the closing fence
    string(FIND "${rest}" "${fence}" at)
  endwhile()
  string(APPEND source "${test}}\n}  // namespace\n")
  get_filename_component(name ${document} NAME_WE)
  set(path ${CMAKE_CURRENT_BINARY_DIR}/${name}_snippets.cc)
  file(GENERATE OUTPUT ${path} CONTENT "${source}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${document})
  set(${out_variable} ${path} PARENT_SCOPE)
endfunction()
