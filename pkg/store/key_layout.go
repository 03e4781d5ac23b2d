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
//	<prefix>/backup
//	<prefix>/cloud-create-times/<name>
//	<prefix>/clouds/<name>
//	<prefix>/clusters/<name>
//	<prefix>/damaged/<key of an object that was set aside, starting with clusters, machines or secrets>
//	<prefix>/events/<uid, or "installation">/<hash of the content>
//	<prefix>/home
//	<prefix>/installation
//	<prefix>/machines/<uid>/<index, four digits>
//	<prefix>/named-secret-values/<name>
//	<prefix>/named-secrets/<name>
//	<prefix>/orphans/<cloud>/<name>/<id>
//	<prefix>/secrets/<uid>/<key>
//	<prefix>/secrets-key
//	<prefix>/snapshot-identity
//	<prefix>/snapshot-tokens/<uid>/<name>
//	<prefix>/snapshots/<uid>/<name>
//	<prefix>/swept
//	<prefix>/unowned/<uid>
//
// Clusters and machines are in one range without secrets, so one watch sees both in their order. It skips the few keys
// in between: events, and objects that were set aside.
type keys struct{ prefix string }

func (k keys) installationKey() string          { return k.prefix + "/installation" }
func (k keys) homeKey() string                  { return k.prefix + "/home" }
func (k keys) backupKey() string                { return k.prefix + "/backup" }
func (k keys) clustersPrefix() string           { return k.prefix + "/clusters/" }
func (k keys) clusterKey(name string) string    { return k.clustersPrefix() + name }
func (k keys) allMachinesPrefix() string        { return k.prefix + "/machines/" }
func (k keys) machinesPrefix(uid string) string { return k.allMachinesPrefix() + uid + "/" }
func (k keys) cloudsPrefix() string             { return k.prefix + "/clouds/" }
func (k keys) cloudKey(name string) string      { return k.cloudsPrefix() + url.PathEscape(name) }
func (k keys) createTimesKey(cloud string) string {
	return k.prefix + "/cloud-create-times/" + url.PathEscape(cloud)
}
func (k keys) allEventsPrefix() string  { return k.prefix + "/events/" }
func (k keys) allOrphansPrefix() string { return k.prefix + "/orphans/" }
func (k keys) orphansPrefix(cloud string) string {
	return k.allOrphansPrefix() + url.PathEscape(cloud) + "/"
}
func (k keys) allSecretsPrefix() string            { return k.prefix + "/secrets/" }
func (k keys) secretsKeyRecord() string            { return k.prefix + "/secrets-key" }
func (k keys) secretsPrefix(uid string) string     { return k.allSecretsPrefix() + uid + "/" }
func (k keys) allSnapshotsPrefix() string          { return k.prefix + "/snapshots/" }
func (k keys) snapshotsPrefix(uid string) string   { return k.allSnapshotsPrefix() + uid + "/" }
func (k keys) snapshotKey(uid, name string) string { return k.snapshotsPrefix(uid) + name }
func (k keys) snapshotTokenKey(uid, name string) string {
	return k.prefix + "/snapshot-tokens/" + uid + "/" + name
}
func (k keys) snapshotIdentityKey() string  { return k.prefix + "/snapshot-identity" }
func (k keys) lastSweepKey() string         { return k.prefix + "/swept" }
func (k keys) allUnownedPrefix() string     { return k.prefix + "/unowned/" }
func (k keys) unownedKey(uid string) string { return k.allUnownedPrefix() + uid }
func (k keys) damagedKey(key string) string {
	return k.prefix + "/damaged" + strings.TrimPrefix(key, k.prefix)
}
func (k keys) secretKey(uid, s string) string { return k.secretsPrefix(uid) + s }

// Secrets that people name are outside of allSecretsPrefix, which has only those of clusters.
func (k keys) namedSecretsPrefix() string              { return k.prefix + "/named-secrets/" }
func (k keys) namedSecretKey(name string) string       { return k.namedSecretsPrefix() + name }
func (k keys) allNamedSecretValuesPrefix() string      { return k.prefix + "/named-secret-values/" }
func (k keys) namedSecretValuesKey(name string) string { return k.allNamedSecretValuesPrefix() + name }

// orphanKey contains the machine's id too, because an orphan and a copy of it can have the same name.
func (k keys) orphanKey(cloud, name, id string) string {
	return k.orphansPrefix(cloud) + url.PathEscape(name) + "/" + url.PathEscape(id)
}

// eventsPrefix is the prefix of a cluster's events, or of the installation's events if uid is empty. It escapes the
// UID, because damaged objects can have any UID.
func (k keys) eventsPrefix(uid string) string {
	if uid == "" {
		uid = InstallationEvents
	}
	return k.allEventsPrefix() + url.PathEscape(uid) + "/"
}

func (k keys) machineKey(uid string, index int) string {
	return fmt.Sprintf("%s%04d", k.machinesPrefix(uid), index)
}

// maxMachineIndex is the largest number with four digits.
const maxMachineIndex = 9999

// checkRef rejects a reference that would match other keys: an empty UID is a prefix of the keys of all clusters.
func checkRef(ref api.Ref) error {
	if err := checkKeyPart("cluster name", ref.Name); err != nil {
		return err
	}
	return checkKeyPart("cluster UID", ref.UID)
}

func checkKeyPart(what, s string) error {
	if s == "" {
		return errors.New("the " + what + " is empty")
	}
	if strings.ContainsAny(s, "/\x00") {
		return fmt.Errorf("the %s %q must not contain a slash", what, s)
	}
	return nil
}
