# What up.sh and down.sh agree on; sourced by both from the root of the repository.
say_dir=
if [ -n "${SKYCONF_DIR:-}" ]; then say_dir=$'\n'"  export SKYCONF_DIR=$SKYCONF_DIR"; fi
export SKYCONF_DIR=${SKYCONF_DIR:-$HOME/.skyconf}
config=$SKYCONF_DIR/config.yaml
cluster=cloud-cluster
kit=$(test/rke2kit/build.sh)
export PATH=$PWD/bin:$PATH
