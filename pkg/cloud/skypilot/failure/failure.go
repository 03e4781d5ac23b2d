// Package failure finds out what kind of error SkyPilot or a cloud behind it reports, by its words.
package failure

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// errorRule finds the kind of an error by words that only this kind has. The first rule whose words occur in any line
// decides.
type errorRule struct {
	kind  cloud.ErrorKind
	words *regexp.Regexp
}

func newErrorRule(kind cloud.ErrorKind, expressions ...string) errorRule {
	return errorRule{kind, regexp.MustCompile("(?i)" + strings.Join(expressions, "|"))}
}

// diskTooSmall are the words of GCP (SkyPilot 0.14.1 sky/backends/cloud_vm_ray_backend.py, _gcp_handler), of Azure
// (skypilot-org/skypilot#2219) and of AWS about a disk that is smaller than the image.
const diskTooSmall = `disk size cannot be smaller than the image size|` +
	`disk size \d+ GB is smaller than the size of the corresponding disk in the VM image|` +
	`Volume of size \d+GB is smaller than +snapshot`

var diskTooSmallWords = regexp.MustCompile("(?i)" + diskTooSmall)

// errorRules go from the specific to the general. The clouds' codes:
// AWS https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
// GCP https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability,
// Azure https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors.
var errorRules = []errorRule{
	newErrorRule(cloud.Infeasible, `rsync is required`),
	// A disk that is smaller than the image is smaller everywhere: GCP, Azure, AWS.
	newErrorRule(cloud.Infeasible, diskTooSmall),
	// AWS
	newErrorRule(cloud.Quota, `VcpuLimitExceeded`, `InstanceLimitExceeded`, `MaxSpotInstanceCountExceeded`,
		`VolumeLimitExceeded`, `AddressLimitExceeded`, `SecurityGroupLimitExceeded`, `VpcLimitExceeded`,
		`PendingVerification`, `Found no quota for`),
	newErrorRule(cloud.Capacity, `InsufficientInstanceCapacity`, `InsufficientHostCapacity`,
		`InsufficientReservedInstanceCapacity`, `InsufficientCapacity`, `SpotMaxPriceTooLow`,
		`capacity-not-available`, `\(Unsupported\).*Availability Zone`),
	newErrorRule(cloud.Transient, `RequestLimitExceeded`, `ThrottlingException`, `\(Throttling\)`,
		`ServiceUnavailable`, `\(InternalError\)`, `\(InternalFailure\)`),
	newErrorRule(cloud.Access, `UnauthorizedOperation`, `AuthFailure`, `AccessDenied`, `InvalidClientTokenId`,
		`SignatureDoesNotMatch`, `ExpiredToken`, `OptInRequired`, `\(Blocked\)`, `NoCredentialsError`,
		`Unable to locate credentials`),
	newErrorRule(cloud.Infeasible, `InvalidAMIID`, `InvalidParameterCombination`, `InvalidParameterValue`,
		`InvalidBlockDeviceMapping`, `Image .* not found`),
	// GCP
	newErrorRule(cloud.Quota, `QUOTA_EXCEEDED`, `Quota '[^']+' exceeded`, `quotaExceeded`),
	newErrorRule(cloud.Capacity, `ZONE_RESOURCE_POOL_EXHAUSTED`, `does not have enough resources available`,
		`STOCKOUT`),
	newErrorRule(cloud.Access, `PERMISSION_DENIED`, `SERVICE_DISABLED`, `accessNotConfigured`, `BILLING_DISABLED`,
		`insufficientPermissions`, `DefaultCredentialsError`),
	newErrorRule(cloud.Transient, `rateLimitExceeded`, `backendError`),
	// Azure
	newErrorRule(cloud.Quota, `QuotaExceeded`,
		`Operation could not be completed as it results in exceeding approved`),
	newErrorRule(cloud.Capacity, `SkuNotAvailable`, `AllocationFailed`, `OverconstrainedAllocation`,
		`NotAvailableForSubscription`),
	newErrorRule(cloud.Access, `AuthorizationFailed`, `InvalidAuthenticationToken`, `ReadOnlyDisabledSubscription`,
		`LinkedAuthorizationFailed`),
	// any cloud
	newErrorRule(cloud.Quota, `exceed\w* (your |the )?(\w+ )?quota`, `quota (was |is )?(exceeded|reached)`,
		`limit exceeded`),
	newErrorRule(cloud.Capacity, `insufficient[- _]capacity`, `not enough capacity`, `out of (stock|capacity)`,
		`no capacity`, `sold out`, `currently unavailable`),
	newErrorRule(cloud.Access, `permission denied`, `forbidden`, `unauthorized`, `invalid credentials`,
		`authentication failed`),
}

// ToCloudError turns a failed request into an error with a kind. The log is that of the request, or nil.
func ToCloudError(doing string, failed *client.FailedRequest, log []string) error {
	kind, why := Classify(failed, log)
	if kind == cloud.Infeasible && diskTooSmallWords.MatchString(why) {
		why += " (request a larger disk_size)"
	}
	return &cloud.Error{Kind: kind, Message: fmt.Sprintf("%s: %s", doing, why)}
}

// Classify finds the kind of a failed request, and the line that explains it best.
func Classify(failed *client.FailedRequest, log []string) (cloud.ErrorKind, string) {
	message := strings.TrimSpace(logtext.StripEscapes(failed.Message))
	switch failed.Type {
	case "NoCloudAccessError":
		return cloud.Access, "SkyPilot has access to no cloud: " + logtext.Shorten(message)
	case "CloudUserIdentityError", "InvalidCloudCredentials", "PermissionDeniedError":
		return cloud.Access, logtext.Shorten(message)
	case "ClusterOwnerIdentityMismatchError":
		return cloud.Conflict, logtext.Shorten(message)
	case "ResourcesMismatchError", "InvalidSkyPilotConfigError":
		return cloud.Infeasible, logtext.Shorten(message)
	case "RequestInterruptedError", "ConcurrentWorkerExhaustedError":
		return cloud.Transient, logtext.Shorten(message)
	}
	switch {
	case strings.Contains(message, "is not enabled"), strings.Contains(message, "not enabled"):
		return cloud.Access, logtext.Shorten(message)
	case strings.Contains(message, "does not contain any instances satisfying the request"):
		return cloud.Infeasible, logtext.Shorten(strings.Split(message, "\n")[0])
	}
	for _, r := range errorRules {
		for i := len(log) - 1; i >= 0; i-- {
			if r.words.MatchString(log[i]) {
				return r.kind, logtext.Shorten(TrimLogPrefix(log[i]))
			}
		}
		if r.words.MatchString(message) {
			return r.kind, logtext.Shorten(message)
		}
	}
	switch failed.Type {
	case "ResourcesUnavailableError":
		// Whatever the reason is, this placement could not provide the machine. Another one may.
		return cloud.Capacity, logtext.Shorten(strings.Join(append([]string{message}, lastErrorLines(log)...), "; "))
	case "ValueError", "AssertionError", "TypeError", "KeyError":
		return cloud.Infeasible, logtext.Shorten(failed.Error())
	}
	return cloud.Transient, logtext.Shorten(strings.Join(append([]string{failed.Error()}, lastErrorLines(log)...),
		"; "))
}

// logPrefix is what SkyPilot's logs put before the words of a cloud.
var logPrefix = regexp.MustCompile(`^(?:[A-Z] \d\d-\d\d \S+ (?:PID=\d+ )?\S+:\d+\] )?` +
	`(?:create_instances: Attempt failed with )?`)

// TrimLogPrefix removes what a line of a log puts before the cloud's own words.
func TrimLogPrefix(line string) string {
	return strings.TrimSpace(logPrefix.ReplaceAllString(line, ""))
}

// lastErrorLines are the last lines of a log that mention an error.
func lastErrorLines(log []string) []string {
	const limit = 3
	var found []string
	for _, line := range log {
		lower := strings.ToLower(line)
		if strings.Contains(lower, "fail") || strings.Contains(lower, "error") {
			found = append(found, TrimLogPrefix(line))
		}
	}
	return found[max(0, len(found)-limit):]
}
