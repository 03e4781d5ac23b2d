{{- define "skyd-worker.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "skyd-worker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "skyd-worker.labels" -}}
{{ include "skyd-worker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "skyd-worker.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "skyd-worker.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "skyd-worker.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "skyd-worker.claim" -}}
{{- .Values.state.existingClaim | default (include "skyd-worker.fullname" .) }}
{{- end }}

{{/* Fails with everything that is missing or does not fit, in one error. */}}
{{- define "skyd-worker.check" -}}
{{- $missing := list }}
{{- if not .Values.etcd.endpoints }}
{{- $missing = append $missing "etcd.endpoints is empty: set the addresses of etcd, such as {https://etcd.example.com:2379}" }}
{{- end }}
{{- if not .Values.temporal.address }}
{{- $missing = append $missing "temporal.address is empty: set the address of Temporal, such as temporal.example.com:7233" }}
{{- end }}
{{- if not .Values.secretsKey.secretName }}
{{- $missing = append $missing "secretsKey.secretName is empty: set the Secret with the installation's key, which skyd team member writes as secrets.key" }}
{{- end }}
{{- if and (.Values.gateway).enabled (not .Values.etcd.tls.secretName) }}
{{- $missing = append $missing "gateway.enabled without etcd.tls.secretName: the gateway knows members by the certificates with which they reach etcd; set the Secret with the worker's" }}
{{- end }}
{{- if gt (int .Values.replicas) 1 }}
{{- if not (dig "skypilot" "endpoint" "" .Values.settings) }}
{{- $missing = append $missing (printf "replicas is %d without settings.skypilot.endpoint: each worker would run a SkyPilot server of its own, which does not know the machines of the others; set the address of one that they share, or replicas=1" (int .Values.replicas)) }}
{{- end }}
{{- if and .Values.state.persistent (not .Values.state.existingClaim) (not (has "ReadWriteMany" .Values.state.accessModes)) }}
{{- $missing = append $missing (printf "replicas is %d without ReadWriteMany in state.accessModes: workers on several nodes would not see each other's snapshots" (int .Values.replicas)) }}
{{- end }}
{{- end }}
{{- if $missing }}
{{- fail (printf "\n\nThe chart cannot be installed with these values:\n- %s\n" (join "\n- " $missing)) }}
{{- end }}
{{- end }}

{{/* The variable of a setting: rke2.enableServicelb is SKYCTL_RKE2_ENABLE_SERVICELB. */}}
{{- define "skyd-worker.variable" -}}
SKYCTL_{{ regexReplaceAll "([a-z])([A-Z])" (replace "." "_" .) "${1}_${2}" | upper }}
{{- end }}

{{/* The variables of settings in the form of config.yaml: a list of a prefix and a map. */}}
{{- define "skyd-worker.settings" -}}
{{- $prefix := index . 0 }}
{{- range $key, $value := index . 1 }}
{{- if kindIs "map" $value }}
{{- include "skyd-worker.settings" (list (printf "%s%s." $prefix $key) $value) }}
{{- else }}
- name: {{ include "skyd-worker.variable" (printf "%s%s" $prefix $key) }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What a program of the image needs to reach etcd and Temporal. */}}
{{- define "skyd-worker.environment" -}}
- name: SKYCONF_DIR
  value: /var/lib/skyd/state
- name: HOME
  value: /var/lib/skyd/home
- name: SKYCTL_ETCD_ENDPOINTS
  value: {{ join "," .Values.etcd.endpoints | quote }}
- name: SKYCTL_TEMPORAL_ADDRESS
  value: {{ .Values.temporal.address | quote }}
- name: SKYCTL_TEMPORAL_NAMESPACE
  value: {{ .Values.temporal.namespace | quote }}
- name: SKYCTL_SECRETS_KEY_FILE
  value: /etc/skyctl/key/secrets.key
{{- range $server := list "etcd" "temporal" }}
{{- with (index $.Values $server).tls }}
{{- if .secretName }}
- name: SKYCTL_{{ upper $server }}_TLS_CA
  value: /etc/skyctl/{{ $server }}/ca.crt
- name: SKYCTL_{{ upper $server }}_TLS_CERT
  value: /etc/skyctl/{{ $server }}/tls.crt
- name: SKYCTL_{{ upper $server }}_TLS_KEY
  value: /etc/skyctl/{{ $server }}/tls.key
{{- end }}
{{- if .serverName }}
- name: SKYCTL_{{ upper $server }}_TLS_SERVER_NAME
  value: {{ .serverName | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- include "skyd-worker.settings" (list "" .Values.settings) }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "skyd-worker.mounts" -}}
- name: state
  mountPath: /var/lib/skyd
- name: tmp
  mountPath: /tmp
- name: key
  mountPath: /etc/skyctl/key
  readOnly: true
{{- range $server := list "etcd" "temporal" }}
{{- if (index $.Values $server).tls.secretName }}
- name: {{ $server }}-tls
  mountPath: /etc/skyctl/{{ $server }}
  readOnly: true
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
