package store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// keys is the layout of an installation in etcd:
//
//	<prefix>/clouds/<name>
//	<prefix>/clusters/<name>
//	<prefix>/damaged/<the key of what was set aside, from clusters, machines or secrets on>
//	<prefix>/events/<uid, or "installation">/<hash of what it says>
//	<prefix>/home
//	<prefix>/installation
//	<prefix>/machines/<uid>/<index, four digits>
//	<prefix>/orphans/<cloud>/<name>
//	<prefix>/secrets/<uid>/<key>
//	<prefix>/secrets-key
//	<prefix>/swept
//	<prefix>/unowned/<uid>
//
// Clusters and machines lie in one range that secrets are not in, so that one watch sees both in their order; it passes
// over the events in between, and over what was set aside, which are few.
type keys struct{ prefix string }

func (k keys) installation() string        { return k.prefix + "/installation" }
func (k keys) home() string                { return k.prefix + "/home" }
func (k keys) clusters() string            { return k.prefix + "/clusters/" }
func (k keys) cluster(name string) string  { return k.clusters() + name }
func (k keys) allMachines() string         { return k.prefix + "/machines/" }
func (k keys) machines(uid string) string  { return k.allMachines() + uid + "/" }
func (k keys) clouds() string              { return k.prefix + "/clouds/" }
func (k keys) cloud(name string) string    { return k.clouds() + url.PathEscape(name) }
func (k keys) allEvents() string           { return k.prefix + "/events/" }
func (k keys) allOrphans() string          { return k.prefix + "/orphans/" }
func (k keys) orphans(cloud string) string { return k.allOrphans() + url.PathEscape(cloud) + "/" }
func (k keys) allSecrets() string          { return k.prefix + "/secrets/" }
func (k keys) keyRecord() string           { return k.prefix + "/secrets-key" }
func (k keys) secrets(uid string) string   { return k.allSecrets() + uid + "/" }
func (k keys) swept() string               { return k.prefix + "/swept" }
func (k keys) allUnowned() string          { return k.prefix + "/unowned/" }
func (k keys) unowned(uid string) string   { return k.allUnowned() + uid }
func (k keys) damaged(key string) string {
	return k.prefix + "/damaged" + strings.TrimPrefix(key, k.prefix)
}
func (k keys) secret(uid, s string) string { return k.secrets(uid) + s }

// orphan has the id of the machine too: two of one name may be orphans, where one is a copy of the other.
func (k keys) orphan(cloud, name, id string) string {
	return k.orphans(cloud) + url.PathEscape(name) + "/" + url.PathEscape(id)
}

// events are those of a cluster; of the installation where uid is empty. A UID that somebody wrote by hand may hold anything.
func (k keys) events(uid string) string {
	if uid == "" {
		uid = InstallationEvents
	}
	return k.allEvents() + url.PathEscape(uid) + "/"
}

func (k keys) machine(uid string, index int) string {
	return fmt.Sprintf("%s%04d", k.machines(uid), index)
}

// maxIndex is what four digits hold.
const maxIndex = 9999

// checkRef refuses a reference that would reach other keys than its own: an empty UID as a prefix is everybody's.
func checkRef(ref api.Ref) error {
	if err := checkPart("cluster name", ref.Name); err != nil {
		return err
	}
	return checkPart("cluster UID", ref.UID)
}

func checkPart(what, s string) error {
	if s == "" {
		return errors.New("the " + what + " is empty")
	}
	if strings.ContainsAny(s, "/\x00") {
		return fmt.Errorf("the %s %q must not have a slash in it", what, s)
	}
	return nil
}
