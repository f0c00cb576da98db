import gc
import sys

if __name__ == "__main__":
    gc.disable()  # until all is loaded
    from livestrain_daemon.intake.process import from_command_line

    sys.exit(from_command_line(sys.argv[1:]))
