// `trireme exporter`: serves the metrics of one run on this node, where no launcher does.

#pragma once

namespace trireme {

/// argv[0] is the command's own name, "exporter"; flags follow. Serves until SIGTERM or SIGINT,
/// until every rank it has seen has ended, or, with --stop-at-end-of-input, until its standard
/// input closes (and ranks that outlive the parent have ended too, for at most 10 s). On leaving it
/// removes the pages of dead ranks. Returns the exit code; throws InvalidArgument for flags and
/// IoError for a port in use.
int exporter_command(int argc, char** argv);

}  // namespace trireme
