package api

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// SnapshotPolicy says which snapshots of a cluster's etcd are taken and kept. Empty fields have their defaults.
type SnapshotPolicy struct {
	// Every is the time between two snapshots, such as 30m, or SnapshotsOff.
	Every string `json:"every,omitempty"`
	// Keep is how many scheduled snapshots are kept, and KeepFor how long, such as 168h.
	Keep    int    `json:"keep,omitempty"`
	KeepFor string `json:"keep_for,omitempty"`
	// VerifyEvery is the time between two verifications of the newest snapshot, such as 24h; empty or SnapshotsOff is
	// never.
	VerifyEvery string `json:"verify_every,omitempty"`
	// S3URL is the bucket, and folder, in which snapshots are kept: s3://bucket/folder. Empty is skyd's directory.
	S3URL string `json:"s3_url,omitempty"`
	// S3Endpoint is the https:// address of a storage that is not AWS's.
	S3Endpoint string `json:"s3_endpoint,omitempty"`
	S3Region   string `json:"s3_region,omitempty"`
	// S3Secret names the secret with the keys access_key and secret_key.
	S3Secret string `json:"s3_secret,omitempty"`
}

// SnapshotsOff is a schedule that never runs.
const SnapshotsOff = "off"

// The defaults of SnapshotPolicy and ClusterSpec.MaxSnapshotAge.
const (
	DefaultSnapshotEvery   = 30 * time.Minute
	DefaultSnapshotKeep    = 48
	DefaultSnapshotKeepFor = 7 * 24 * time.Hour
	DefaultMaxSnapshotAge  = 24 * time.Hour
)

// The keys of a secret with the credentials of an S3 storage. SecretKeySessionToken is optional.
const (
	SecretKeyAccessKey    = "access_key"
	SecretKeySecretKey    = "secret_key"
	SecretKeySessionToken = "session_token"
)

// What happens if the machine of the only server is gone.
const (
	OnServerLossRestore = "restore" // another one is launched and restored from the newest snapshot
	OnServerLossWait    = "wait"    // the cluster goes to ERROR, and a person decides
)

// Interval is the time between two scheduled snapshots; 0 if none are taken.
func (p SnapshotPolicy) Interval() time.Duration { return intervalOf(p.Every, DefaultSnapshotEvery) }

// VerifyInterval is the time between two verifications; 0 is never.
func (p SnapshotPolicy) VerifyInterval() time.Duration { return intervalOf(p.VerifyEvery, 0) }

// KeepCount is how many scheduled snapshots are kept.
func (p SnapshotPolicy) KeepCount() int { return cmp.Or(p.Keep, DefaultSnapshotKeep) }

// KeepDuration is how long scheduled snapshots are kept.
func (p SnapshotPolicy) KeepDuration() time.Duration {
	return intervalOf(p.KeepFor, DefaultSnapshotKeepFor)
}

// StoragePlace is where new snapshots are kept: SnapshotPlaceSkyd or the URL of a bucket and folder.
func (p SnapshotPolicy) StoragePlace() string { return cmp.Or(p.S3URL, SnapshotPlaceSkyd) }

// StoragePolicy returns the policy with the address and the secret of the storage in which a snapshot is kept: that of
// its cluster while that uses the storage, else that of the time when the snapshot was kept. The cluster is nil if it
// is gone.
func (s Snapshot) StoragePolicy(c *Cluster) SnapshotPolicy {
	switch {
	case c != nil && c.Metadata.UID == s.ClusterUID && c.Spec.Snapshots.StoragePlace() == s.Place:
		return c.Spec.Snapshots
	case s.Spec != nil:
		return s.Spec.Snapshots
	}
	return SnapshotPolicy{}
}

// AdoptStoragePolicy records with a snapshot how its storage is reached now, for the time when its cluster is deleted
// or uses another storage. It reports whether that differs from what was recorded. The cluster is nil if it is gone.
func (s *Snapshot) AdoptStoragePolicy(c *Cluster) bool {
	if s.Spec == nil || s.Place == "" {
		return false
	}
	spec, now := *s.Spec, s.StoragePolicy(c)
	p := &spec.Snapshots
	p.S3URL, p.S3Endpoint, p.S3Region, p.S3Secret = now.S3URL, now.S3Endpoint, now.S3Region, now.S3Secret
	changed := *p != s.Spec.Snapshots
	s.Spec = &spec
	return changed
}

// SecretUsers are what needs a named secret.
type SecretUsers struct {
	// Clusters, by name, refer to it.
	Clusters []string `json:"clusters"`
	// Snapshots, as CLUSTER/NAME, are in a storage that it opens.
	Snapshots []string `json:"snapshots"`
}

// SnapshotsOpenedBy returns the snapshots whose files can be neither read nor deleted without a named secret, now or
// once their cluster is deleted.
func SnapshotsOpenedBy(secret string, clusters []Cluster, all []Snapshot) []Snapshot {
	owners := map[string]*Cluster{}
	for i := range clusters {
		owners[clusters[i].Metadata.UID] = &clusters[i]
	}
	return slices.DeleteFunc(slices.Clone(all), func(s Snapshot) bool {
		isInStorage := s.Object != "" && s.Place != "" && s.Place != SnapshotPlaceSkyd
		opens := s.StoragePolicy(owners[s.ClusterUID]).S3Secret == secret ||
			s.Spec != nil && s.Spec.Snapshots.S3Secret == secret // until AdoptStoragePolicy
		return !isInStorage || !opens
	})
}

// RestoresLostServer reports whether a lost server is restored without a person.
func (s ClusterSpec) RestoresLostServer() bool { return s.OnServerLoss != OnServerLossWait }

// SnapshotAgeLimit is how old a snapshot can be from which a lost server is restored without a person.
func (s ClusterSpec) SnapshotAgeLimit() time.Duration {
	return intervalOf(s.MaxSnapshotAge, DefaultMaxSnapshotAge)
}

// intervalOf is a valid value as a duration.
func intervalOf(text string, unset time.Duration) time.Duration {
	if text == SnapshotsOff {
		return 0
	}
	d, err := ParseDuration(text)
	if err != nil {
		return unset
	}
	return time.Duration(d)
}

// minSnapshotInterval is the shortest time between two snapshots: each one reads the whole of etcd.
const minSnapshotInterval = time.Minute

// snapshotFields say which snapshots are taken, where they are kept, and what they are for.
func snapshotFields() []Field {
	const cluster = 6 // the level of the fields
	every := newIntervalField(Field{
		Change: changesFreely("RKE2's own schedule changes when its server starts the next time; skyd takes what is " +
			"missing until then"),
		Name: "snapshot_every", Label: "Snapshots", Flag: FlagText, Level: cluster, Example: "1h", Invalid: "10s",
		Help: "time between two snapshots of etcd, such as 1h, or off (default 30m)",
		Want: "a duration of at least 1m, such as 30m, or off",
	}, true, func(p *SnapshotPolicy) *string { return &p.Every })
	every.show = func(s GroupSpec) string { return s.Snapshots.describe() }
	hidden := func(f Field) Field { f.Hidden, f.Level = "the line of snapshot_every shows it", cluster; return f }
	counts := changesFreely("it counts from then on")
	return []Field{
		every,
		newSnapshotKeepField(hidden(Field{Change: counts})),
		newIntervalField(hidden(Field{
			Change: counts, Name: "snapshot_keep_for", Flag: FlagText, Example: "720h", Invalid: "soon",
			Help: "how long scheduled snapshots are kept, such as 720h (default 168h)",
			Want: "a duration of at least 1m, such as 168h",
		}), false, func(p *SnapshotPolicy) *string { return &p.KeepFor }),
		newIntervalField(hidden(Field{
			Change: counts, Name: "snapshot_verify_every", Flag: FlagText, Example: "24h", Invalid: "daily",
			Help: "time between two verifications of the newest snapshot, such as 24h, or off (default off)",
			Want: "a duration of at least 1m, such as 24h, or off",
		}), true, func(p *SnapshotPolicy) *string { return &p.VerifyEvery }),
		newSnapshotTextField(Field{
			Change: changesFreely("snapshots that are kept already stay where they are"),
			Name:   "snapshot_s3_url", Label: "Snapshots in", Flag: FlagText, Level: cluster,
			Example: "s3://backups/prod", Invalid: "https://backups",
			Help: "bucket and folder in which snapshots are kept, such as s3://backups/prod (default: skyd's " +
				"directory)",
			Want: "s3://BUCKET or s3://BUCKET/FOLDER",
		}, func(p *SnapshotPolicy) *string { return &p.S3URL }, isS3URL),
		newSnapshotTextField(Field{
			Change: counts, Name: "snapshot_s3_endpoint", Hidden: "it belongs to snapshot_s3_url", Flag: FlagText,
			Level: cluster, Example: "https://minio.example.com:9000", Invalid: "minio",
			Help: "address of the S3 storage (default: AWS's)",
			Want: "the https:// address of an S3 storage, such as https://minio.example.com:9000",
		}, func(p *SnapshotPolicy) *string { return &p.S3Endpoint }, isS3Endpoint),
		newSnapshotTextField(Field{
			Change: counts, Name: "snapshot_s3_region", Hidden: "it belongs to snapshot_s3_url", Flag: FlagText,
			Level: cluster, Example: "eu-central-1", Invalid: "eu central",
			Help: "region of the bucket (default us-east-1)", Want: "the name of a region, such as eu-central-1",
		}, func(p *SnapshotPolicy) *string { return &p.S3Region }, regionName.MatchString),
		newSnapshotTextField(Field{
			Change: counts, Name: "snapshot_s3_secret", Hidden: "it belongs to snapshot_s3_url", Flag: FlagText,
			Level: cluster, Example: "backup-login", Invalid: "A secret",
			Help: "secret with the keys access_key and secret_key of the bucket (default: none)", Want: WantSecretName,
		}, func(p *SnapshotPolicy) *string { return &p.S3Secret }, IsSecretName),
		serverLossField(cluster),
		maxSnapshotAgeField(cluster),
	}
}

func serverLossField(level int) Field {
	return newTextField(Field{
		Change: changesFreely("it counts from then on"),
		Name:   "on_server_loss", Label: "Server lost", Flag: FlagText, Level: level, Example: OnServerLossWait,
		Invalid: "panic", Values: []string{OnServerLossRestore, OnServerLossWait},
		Help: "what happens if the server's machine is gone: restore (from the newest snapshot, on a new machine) or " +
			"wait (for a person) (default restore)",
		Want: "restore or wait",
	}, func(s *GroupSpec) *string { return &s.OnServerLoss }, func(v string) (string, bool) {
		v = strings.ToLower(v)
		return v, v == "" || v == OnServerLossRestore || v == OnServerLossWait
	})
}

func maxSnapshotAgeField(level int) Field {
	f := Field{
		Change: changesFreely("it counts from then on"),
		Name:   "max_snapshot_age", Label: "Restored from", Flag: FlagText, Level: level, Example: "6h",
		Invalid: "old",
		Help:    "how old a snapshot can be from which a lost server is restored (default 24h)",
		Want:    "a duration of at least 1m, such as 24h",
	}
	f = newParsedField(f, func(s *GroupSpec) *string { return &s.MaxSnapshotAge }, f.parseInterval(false))
	f.show = func(s GroupSpec) string {
		if s.MaxSnapshotAge == "" {
			return ""
		}
		return "a snapshot of at most " + s.MaxSnapshotAge
	}
	return f
}

func newSnapshotKeepField(f Field) Field {
	f.Name, f.Flag, f.Example, f.Invalid = "snapshot_keep", FlagText, "96", "none"
	f.Help = fmt.Sprintf("how many scheduled snapshots are kept (default %d)", DefaultSnapshotKeep)
	f.Want = fmt.Sprintf("a whole number from 1 to %d", maxSnapshotKeep)
	return newNumberField(f, func(s *GroupSpec) *int { return &s.Snapshots.Keep }, numberField[int]{
		parse: func(v string) (int, error) {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return 0, f.newError(v)
			}
			return n, nil
		},
		format: strconv.Itoa, isIn: func(n int) bool { return n >= 0 && n <= maxSnapshotKeep },
	})
}

const maxSnapshotKeep = 1000

func newSnapshotTextField(f Field, ref func(*SnapshotPolicy) *string, isValid func(string) bool) Field {
	return newTextField(f, func(s *GroupSpec) *string { return ref(&s.Snapshots) }, matches(isValid))
}

// newIntervalField declares a field that holds a duration, or SnapshotsOff where that is valid.
func newIntervalField(f Field, canBeOff bool, ref func(*SnapshotPolicy) *string) Field {
	return newParsedField(f, func(s *GroupSpec) *string { return ref(&s.Snapshots) }, f.parseInterval(canBeOff))
}

func (f Field) parseInterval(canBeOff bool) func(string) (string, error) {
	return func(v string) (string, error) {
		if canBeOff && strings.EqualFold(v, SnapshotsOff) {
			return SnapshotsOff, nil
		}
		d, err := ParseDuration(v)
		if err != nil || time.Duration(d) < minSnapshotInterval {
			return "", f.newError(v)
		}
		return d.String(), nil
	}
}

// describe says the schedule for people; empty if it is the default.
func (p SnapshotPolicy) describe() string {
	if p.Every == "" && p.Keep == 0 && p.KeepFor == "" && p.VerifyEvery == "" {
		return ""
	}
	text := "none"
	if every := p.Interval(); every > 0 {
		text = fmt.Sprintf("every %s; at most %d are kept, for %s", Duration(every), p.KeepCount(),
			Duration(p.KeepDuration()))
	}
	if verify := p.VerifyInterval(); verify > 0 {
		text += fmt.Sprintf("; verified every %s", Duration(verify))
	}
	return text
}

var s3URL = lazyregexp.New(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$`)

func isS3URL(v string) bool { return s3URL.MatchString(v) && !strings.Contains(v, "..") }

// isS3Endpoint accepts http only on this computer, because the credentials would be readable.
func isS3Endpoint(v string) bool {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && err == nil && addr.IsLoopback()
}

// checkSnapshotStorage compares the fields of the storage.
func checkSnapshotStorage(s GroupSpec) *FieldError {
	p := s.Snapshots
	switch {
	case p.S3URL != "" && p.S3Secret == "":
		return &FieldError{Field: "snapshot_s3_secret", Value: "", Want: "the name of a secret with the keys " +
			SecretKeyAccessKey + " and " + SecretKeySecretKey + " of the bucket"}
	case p.S3URL == "" && cmp.Or(p.S3Secret, p.S3Endpoint, p.S3Region) != "":
		return &FieldError{Field: "snapshot_s3_url", Value: "", Want: "s3://BUCKET or s3://BUCKET/FOLDER, because " +
			"other fields of the storage are set"}
	}
	return nil
}
