# shellcheck shell=bash
# An apt state of its own in CACHE ($1), with the foreign architectures, so that the machine's own stays as it is. It asks where
# the machine's own apt does. Sourced; leaves the options in ${apt[@]}.
apt_state=$1/apt
apt=(-qq -o Dir::State::lists="$apt_state/lists" -o Dir::Cache="$apt_state/cache" -o Dir::Etc::sourcelist=/dev/null
     -o Dir::Etc::sourceparts="$apt_state/sources" -o APT::Sandbox::User=root -o Acquire::Languages=none
     -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=armhf -o APT::Architectures::=arm64)
if [ ! -e "$apt_state/ready" ]; then
  mkdir -p "$apt_state"/{lists,cache}/{partial,archives/partial} "$apt_state/sources"
  # The security suite for this machine alone: a foreign one that is a step behind would block everything.
  stanzas() {
    awk -v RS= -v want="$1" -v archs="$2" '
      /(^|\n)URIs:/ && $0 ~ want { gsub(/(^|\n)#[^\n]*/, ""); gsub(/(^|\n)Architectures:[^\n]*/, ""); print $0 "\nArchitectures: " archs "\n" }
    ' /etc/apt/sources.list.d/*.sources
  }
  stanzas 'Suites:[^\n]*-security' amd64 >"$apt_state/sources/security.sources"
  stanzas 'Suites: *bookworm' 'amd64 armhf arm64' | awk -v RS= '!/-security/ { print $0 "\n" }' >"$apt_state/sources/main.sources"
  apt-get "${apt[@]}" update >&2
  touch "$apt_state/ready"
fi
