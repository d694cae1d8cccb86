// What the snippets of documents may use without saying so.

#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iostream>

#include "core/trireme.h"
#include "distributed/ddp.h"
#include "distributed/make_communicator.h"
#include "distributed/run_ranks.h"
