import sys

from livestrain_simulator.packed.process import from_command_line

sys.exit(from_command_line(sys.argv[1:]))
