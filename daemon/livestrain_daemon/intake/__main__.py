import sys

from livestrain_daemon.intake.process import from_command_line

sys.exit(from_command_line(sys.argv[1:]))
