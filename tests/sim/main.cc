// usage: sim_test [--seed N] [--steps N] [--runs N] [--trace-from STEP] [--twice]
//
// Plays --runs simulations with seeds from --seed on. A failing one prints the command that plays
// it again. --twice plays each twice and fails where the second isn't the first.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/sim.h"

int main(int argc, char** argv) {
  rekey::sim::Options options;
  options.program = argv[0];
  uint64_t runs = 1;
  bool twice = false;
  for (int i = 1; i < argc; i++) {
    const auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
    if (std::strcmp(argv[i], "--seed") == 0) {
      options.seed = number();
    } else if (std::strcmp(argv[i], "--steps") == 0) {
      options.steps = number();
    } else if (std::strcmp(argv[i], "--runs") == 0) {
      runs = number();
    } else if (std::strcmp(argv[i], "--trace-from") == 0) {
      options.trace_from = number();
    } else if (std::strcmp(argv[i], "--twice") == 0) {
      twice = true;
    } else {
      std::fprintf(stderr, "unknown argument %s\n", argv[i]);
      return 2;
    }
  }
  for (uint64_t i = 0; i < runs; i++, options.seed++) {
    rekey::sim::Simulation simulation(options);
    if (!simulation.run()) return 1;
    std::printf("seed %" PRIu64 ": %s (%016" PRIx64 ")\n", options.seed,
                simulation.summary().c_str(), simulation.digest());
    std::fflush(stdout);
    if (!twice) continue;
    rekey::sim::Simulation again(options);
    if (!again.run() || again.digest() != simulation.digest()) {
      std::printf("seed %" PRIu64 " does not replay\n", options.seed);
      return 1;
    }
  }
  return 0;
}
