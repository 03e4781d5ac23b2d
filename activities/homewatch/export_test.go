package homewatch

// GuardedActivities lets the external test compare them with all activities.
var GuardedActivities = guardedActivities
