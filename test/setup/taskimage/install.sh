#!/bin/sh
# Turns a container of the Docker hosts' image into one that runs SkyPilot's tasks: with what SkyPilot would otherwise
# install in each pod. It runs as root, with this directory at /taskimage.
set -eu
cd /taskimage
apt-get update -qq
# shellcheck disable=SC2046 # one word for each package
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(cat packages.txt) >/dev/null

# The virtual environment is where SkyPilot searches for its runtime.
python3 -m venv /root/skypilot-runtime
/root/skypilot-runtime/bin/python -m pip install -q --no-deps --no-cache-dir --disable-pip-version-check \
    -r requirements.txt
/root/skypilot-runtime/bin/python -m pip check
mkdir -p /root/.local/bin
ln -sf /root/skypilot-runtime/bin/uv /root/.local/bin/uv

# SkyPilot installs no Conda where there is one.
printf '#!/bin/sh\nexit 0\n' >/usr/local/bin/conda
chmod +x /usr/local/bin/conda
apt-get clean
rm -rf /var/lib/apt/lists/* /root/.cache
