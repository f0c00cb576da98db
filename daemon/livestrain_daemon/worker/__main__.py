"""A worker process: ``python -m livestrain_daemon.worker SETTINGS``."""

import json
import sys

from livestrain_daemon.worker.process import WorkerSettings, main

if __name__ == "__main__":
    main(WorkerSettings.model_validate(json.loads(sys.argv[1])))
