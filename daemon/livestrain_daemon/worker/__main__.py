"""A worker process: ``python -m livestrain_daemon.worker SETTINGS``."""

import gc
import json
import sys

if __name__ == "__main__":
    gc.disable()  # until all is loaded
    from livestrain_daemon.worker.process import WorkerSettings, main

    main(WorkerSettings.model_validate(json.loads(sys.argv[1])))
