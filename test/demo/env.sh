# Settings of up.sh and down.sh, which source this file in the root of the repository.
say_dir=
if [ -n "${SKYCONF_DIR:-}" ]; then say_dir=$'\n'"  export SKYCONF_DIR=$SKYCONF_DIR"; fi
export SKYCONF_DIR=${SKYCONF_DIR:-$HOME/.skyconf}
config=$SKYCONF_DIR/config.yaml
before=.before-demo # in the state directory: the list of files that are older than the demo, and stay
cluster=cloud-cluster
if [ -e bin/rke2kit/version ]; then # of a release
  kit=$PWD/bin/rke2kit
else
  kit=$(test/rke2kit/build.sh --without-helm)
fi
export PATH=$PWD/bin:$PATH

demo_settings() { printf '# Written by make demo.\nrke2:\n  source: %s\n  version: %s\n' "$kit" "$(cat "$kit/version")"; }

# remove_state removes the files of the demo's skyd and skyctl from the state directory, and the settings if they are
# unchanged. Older files, and settings that were added, belong to the user.
remove_state() {
  local name
  while IFS= read -r -d '' name; do
    name=${name##*/}
    case $name in
    "$before") ;;
    config.yaml) if [ "$(sed -E 's/^(  (source|version):).*/\1/' "$config")" = $'# Written by make demo.\nrke2:\n  source:\n  version:' ]; then rm "$config"; fi ;;
    *) grep -qxF -- "$name" "$SKYCONF_DIR/$before" 2>/dev/null || rm -rf "${SKYCONF_DIR:?}/$name" ;;
    esac
  done < <(find "$SKYCONF_DIR" -mindepth 1 -maxdepth 1 -print0)
  rm -f "$SKYCONF_DIR/$before"
  rmdir "$SKYCONF_DIR" 2>/dev/null || echo "$SKYCONF_DIR stays: it has files that the demo did not create." >&2
}
