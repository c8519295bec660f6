{{- define "regard.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* of one part of the release: (list . "triton") */}}
{{- define "regard.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "regard.labels" -}}
{{ include "regard.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{/* (list image what) */}}
{{- define "regard.image" -}}
{{- $image := index . 0 }}
{{- if not $image.repository }}{{ fail (printf "%s.repository: give the registry and name of the image, such as registry.example.com/regard/tritonserver" (index . 1)) }}{{ end }}
{{- if $image.digest }}{{ printf "%s@%s" $image.repository $image.digest }}
{{- else if $image.tag }}{{ printf "%s:%s" $image.repository $image.tag }}
{{- else }}{{ fail (printf "%s: give a tag or a digest" (index . 1)) }}{{ end }}
{{- end }}

{{- define "regard.objectStorage" -}}
{{- $url := .Values.repository.objectStorage.url }}
{{- if and $url .Values.repository.claim }}{{ fail "repository: give a claim or objectStorage.url, not both" }}{{ end }}
{{- if not (or $url .Values.repository.claim) }}{{ fail "repository: give the claim that holds the model repository, or objectStorage.url" }}{{ end }}
{{- $url }}
{{- end }}

{{- define "regard.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "regard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
