"""Index a directory of videos as a Ray job.

    ray job submit --working-dir . -- \\
        python pipelines/index_directory.py --config configs/cluster.yaml

``index.paths`` and ``index.library`` of the configuration say what and where to; paths and options
of ``videopipe index`` may follow on the command line. It is the same run: the driver is the only
writer of the library, progress goes to the job's log as plain lines, and stopping the job leaves a
library that the next run continues. Every node needs videopipe installed and must see the videos
under the same path.
"""

from __future__ import annotations

import sys

from videopipe.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["index"]
    main()
