{{- define "heliograph.labels" -}}
app.kubernetes.io/part-of: heliograph
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "heliograph.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* What both pods have; takes (dict "root" $ "of" .Values.emitter "name" "heliograph-emitter"). */ -}}
{{- define "heliograph.podMetadata" -}}
labels:
  app.kubernetes.io/name: {{ .name }}
{{- with .of.podLabels }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- $annotations := .annotations | default dict }}
{{- with merge $annotations .of.podAnnotations }}
annotations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{- define "heliograph.podSettings" -}}
# The Services of its namespace as variables: it reads none of them.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
{{ toYaml . | indent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  # Replicas on different nodes, if there are several.
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: {{ .name }}
{{- end }}
{{- end }}

{{- define "heliograph.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- /* Whether the emitter signs serving certificates with a CA of its own. */ -}}
{{- define "heliograph.signs" -}}
{{- with .Values.emitter -}}
{{- if and .securePort (not .tlsSecret) .caSecrets }}true{{ end -}}
{{- end -}}
{{- end }}

{{- /* Whether the emitter has an access configuration: always, except with anonymous access alone. */ -}}
{{- define "heliograph.hasAccess" -}}
{{- with .Values.emitter -}}
{{- if or (not .anonymousAuth) .accessConfig.issuers .accessConfig.consumers }}true{{ end -}}
{{- end -}}
{{- end }}

{{- /* Pods that can connect to the admin port; takes labels of namespaces. */ -}}
{{- define "heliograph.adminIngress" -}}
- from:
    - podSelector: {}
    {{- with . }}
    - namespaceSelector:
        matchLabels:
          {{- toYaml . | nindent 10 }}
    {{- end }}
  ports:
    - port: admin
{{- end }}

{{- /* The binding of a role of the same name; takes root, kind, name, namespace (if any), account. */ -}}
{{- define "heliograph.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "heliograph.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .role | default .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- /* A role with rules and its binding; takes root, kind, name, namespace (if any), account, rules. */ -}}
{{- define "heliograph.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "heliograph.labels" .root | nindent 4 }}
rules:
{{- .rules | trimSuffix "\n" }}
---
{{ include "heliograph.binding" . }}
{{- end }}

{{- /* The permissions to ask whose a token is, and what its user may read; takes root, name, account. */ -}}
{{- define "heliograph.reviews" -}}
{{- $rules := `
  - apiGroups: [authentication.k8s.io]
    resources: [tokenreviews]
    verbs: [create]
  - apiGroups: [authorization.k8s.io]
    resources: [subjectaccessreviews]
    verbs: [create]
` }}
{{- include "heliograph.role" (merge (dict "kind" "ClusterRole" "rules" $rules) .) }}
{{- end }}
