package api

// ChangeWay is how a field of a cluster that exists can change.
type ChangeWay string

// The ways in which fields change.
const (
	// ChangeFreely: the machines stay.
	ChangeFreely ChangeWay = "freely"
	// ChangeByReplacing: the machines of the pool are replaced, at most max_unavailable at the same time.
	ChangeByReplacing ChangeWay = "by replacing machines"
	// ChangeNever: another cluster has to be created.
	ChangeNever ChangeWay = "never"
)

// ChangeRule says how a field changes.
type ChangeRule struct {
	Way ChangeWay
	// Why is the reason of ChangeNever, or what a change does.
	Why string
	// Instead is what a person can do where the field never changes.
	Instead string
}

// anotherCluster is what to do where a field belongs to the cluster as a whole.
const anotherCluster = "create another cluster and move the workload there"

func neverChanges(why, instead string) ChangeRule {
	return ChangeRule{Way: ChangeNever, Why: why, Instead: instead}
}

func changesFreely(what string) ChangeRule { return ChangeRule{Way: ChangeFreely, Why: what} }

// changesInFailedCreate is the rule of a field that never changes, for a cluster whose create failed.
func changesInFailedCreate(cluster string) ChangeRule {
	return neverChanges("a create that failed goes on as it began",
		"nothing runs on the cluster, so delete it (skyctl delete cluster "+cluster+") and create it again")
}

// The rules that several fields share.
var (
	changesPlace    = neverChanges("the network of the cluster and its server are there", anotherCluster)
	changesMachines = ChangeRule{Way: ChangeByReplacing, Why: "a machine keeps what it was launched with"}
	changesFirewall = neverChanges("the cloud's firewall is set when the server is launched", anotherCluster)
	changesGPUs     = neverChanges("the software for accelerators is installed once", anotherCluster)
	changesRelease  = neverChanges("all machines of a cluster run the same release, and skyctl does not upgrade it yet",
		anotherCluster)
	changesServer = neverChanges("the only server would have to be replaced, and the state of the cluster is on it",
		anotherCluster+", or add a pool with such machines")
)
