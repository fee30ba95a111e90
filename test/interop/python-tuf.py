"""Refreshes from a root and downloads one target, as any program on python-tuf does. Prints what it trusts."""

import json
import sys
from pathlib import Path

from tuf.ngclient import Updater

folder, metadata_url, targets_url, target = sys.argv[1:]
updater = Updater(
    metadata_dir=str(Path(folder, "metadata")),
    metadata_base_url=metadata_url,
    target_base_url=targets_url,
    target_dir=folder,
    bootstrap=Path(folder, "root.json").read_bytes(),
)
updater.refresh()
info = updater.get_targetinfo(target)
if info is None:
    sys.exit(f"{target} is not named")
path = updater.download_target(info, str(Path(folder, "target")))
print(json.dumps({"path": path, "length": info.length, "custom": info.unrecognized_fields["custom"]}))
