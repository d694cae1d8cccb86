// The direction of dependencies, checked on the text of the sources.
//
// Everything works on a SourceTree in memory, so the rules themselves can be tested on trees that
// break them.

#pragma once

#include <map>
#include <string>
#include <vector>

namespace trireme::testing {

/// Path from the repository's root -> content. Holds C++ sources and CMakeLists.txt files.
using SourceTree = std::map<std::string, std::string>;

/// Reads the folders that the rules speak about, below `root`.
SourceTree read_source_tree(const std::string& root);

/// One line per violation, `path:line: what is wrong`, in order of path; empty if there is none.
///
/// - a folder includes itself and the folders to its left in the table of layering_rules.cc;
/// - an #include in quotes names an existing file from the repository's root;
/// - the umbrella core/trireme.h is for users: no library file includes it;
/// - only mpi_*.cc and *_mpi.cc include <mpi.h>, only nccl_* <nccl.h>, and CUDA's headers appear in
///   .cu, .cuh and *_cuda.* only;
/// - no source is longer than 400 lines.
std::vector<std::string> find_source_violations(const SourceTree& tree);

/// The `light` targets link neither tensor code nor MPI, and reach no header of it: base, metrics,
/// rendezvous and the command `trireme`. Reads the targets from the CMakeLists.txt files. A light
/// target that no CMakeLists.txt defines is a violation too.
std::vector<std::string> find_light_target_violations(const SourceTree& tree);

}  // namespace trireme::testing
