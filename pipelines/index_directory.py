"""Index a directory of videos as a Ray job.

    ray job submit --working-dir . -- python pipelines/index_directory.py \\
        VIDEOS --library LIBRARY --config configs/cluster.yaml

The same run as ``videopipe index``: the driver is the only writer of the library, progress goes
to the job's log as plain lines, and stopping the job leaves a library that the next run continues.
Every node must see VIDEOS under the same path; the driver's node must be able to write LIBRARY.
"""

from __future__ import annotations

import sys

from videopipe.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["index"]
    main()
