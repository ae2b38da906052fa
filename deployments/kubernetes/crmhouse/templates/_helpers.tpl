{{- define "crmhouse.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "crmhouse.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "crmhouse.labels" -}}
{{ include "crmhouse.selector" . }}
app.kubernetes.io/name: crmhouse
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- /* Name, namespace and labels of an object. */}}
{{- define "crmhouse.metadata" -}}
name: {{ include "crmhouse.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "crmhouse.labels" . | nindent 2 }}
{{- end }}

{{- define "crmhouse.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{- define "crmhouse.apiUrl" -}}
http://{{ include "crmhouse.fullname" . }}-server:4200/api
{{- end }}

{{- define "crmhouse.adminSecret" -}}
{{- if and (eq .Values.postgresql.mode "evaluation") (not .Values.secrets.databaseAdmin.name) }}crmhouse-database-admin
{{- else }}{{ .Values.secrets.databaseAdmin.name }}{{ end }}
{{- end }}

{{- define "crmhouse.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret.name }}
      key: {{ .secret.key }}
{{- end }}

{{- /* How a client finds the server and opens it. */}}
{{- define "crmhouse.clientEnv" -}}
- name: PREFECT_API_URL
  value: {{ include "crmhouse.apiUrl" . }}
{{ include "crmhouse.secretEnv" (dict "variable" "PREFECT_API_AUTH_STRING" "secret" .Values.secrets.prefectAuth) }}
{{- end }}

{{- define "crmhouse.prefectDatabaseEnv" -}}
{{ include "crmhouse.secretEnv" (dict "variable" "PREFECT_SERVER_DATABASE_CONNECTION_URL" "secret" .Values.secrets.prefectDatabase) }}
{{- end }}

{{- define "crmhouse.warehouseEnv" -}}
{{ include "crmhouse.secretEnv" (dict "variable" "CRMHOUSE_WAREHOUSE_URL" "secret" .Values.secrets.warehouse) }}
- name: CRMHOUSE_CONFIG
  value: /etc/crmhouse/crmhouse.yaml
{{- end }}

{{- /* The fields of every pod. Takes root, component, and the component's values as `of`. */}}
{{- define "crmhouse.pod" -}}
serviceAccountName: {{ include "crmhouse.fullname" .root }}-{{ .account | default .component }}
automountServiceAccountToken: {{ .token | default false }}
# A Service called crmhouse-… would otherwise put variables CRMHOUSE_… into every container.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The fields of every container but its name, command, env and resources. */}}
{{- define "crmhouse.container" -}}
image: {{ include "crmhouse.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- /* Of a Deployment whose pods wait for others: `kubectl rollout status` gives up no earlier. */}}
{{- define "crmhouse.patience" -}}
progressDeadlineSeconds: 1800
{{- end }}

{{- define "crmhouse.mounts" -}}
- {name: home, mountPath: /var/lib/crmhouse}
- {name: tmp, mountPath: /tmp}
- {name: scripts, mountPath: /scripts, readOnly: true}
{{- end }}

{{- define "crmhouse.configMount" -}}
- {name: config, mountPath: /etc/crmhouse, readOnly: true}
{{- end }}

{{- define "crmhouse.volumes" -}}
- name: home
  emptyDir:
    sizeLimit: 1Gi
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
- name: scripts
  configMap:
    name: {{ include "crmhouse.fullname" . }}-scripts
{{- end }}

{{- define "crmhouse.configVolume" -}}
- name: config
  configMap:
    name: {{ include "crmhouse.fullname" . }}-config
{{- end }}

{{- define "crmhouse.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "crmhouse.selector" . | nindent 8 }}
{{- end }}

{{- /* One that ends before the others start: waits for the server, and for the pool when named. */}}
{{- define "crmhouse.waitForServer" -}}
- name: wait-for-server
  {{- include "crmhouse.container" .root | nindent 2 }}
  command: [python3, /scripts/wait_for_server.py{{ with .pool }}, {{ . }}{{ end }}]
  env: {{- include "crmhouse.clientEnv" .root | nindent 4 }}
  resources: {{- toYaml .root.Values.jobs.waitResources | nindent 4 }}
  volumeMounts: {{- include "crmhouse.mounts" .root | nindent 4 }}
{{- end }}

{{- /* crmhouse.yaml: the values' `config`, and what makes its deployments run as Jobs here. */}}
{{- define "crmhouse.config" -}}
{{- $ours := dict "orchestration" (dict "work_pool_type" "kubernetes" "base_job_template" "/etc/crmhouse/base-job-template.json") -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $ours) }}
{{- end }}

{{- /* The work pool's template with this release's values as the defaults of its variables. */}}
{{- define "crmhouse.baseJobTemplate" -}}
{{- $template := .Files.Get "files/base-job-template.json" | fromJson -}}
{{- $full := include "crmhouse.fullname" . -}}
{{- $defaults := dict
  "namespace" .Release.Namespace
  "instance" .Release.Name
  "image" (include "crmhouse.image" .)
  "image_pull_policy" .Values.image.pullPolicy
  "image_pull_secrets" .Values.image.pullSecrets
  "service_account_name" (printf "%s-flow-run" $full)
  "config_map" (printf "%s-config" $full)
  "warehouse_secret" .Values.secrets.warehouse.name
  "warehouse_secret_key" .Values.secrets.warehouse.key
  "cpu_request" .Values.flows.resources.requests.cpu
  "cpu_limit" .Values.flows.resources.limits.cpu
  "memory_request" .Values.flows.resources.requests.memory
  "memory_limit" .Values.flows.resources.limits.memory
  "scratch_size" .Values.flows.scratchSize
  "active_deadline_seconds" .Values.flows.activeDeadlineSeconds
  "finished_job_ttl" .Values.flows.finishedJobTtlSeconds
  "node_selector" .Values.flows.nodeSelector
  "tolerations" .Values.flows.tolerations
-}}
{{- with .Values.flows.priorityClassName }}{{ $_ := set $defaults "priority_class_name" . }}{{ end -}}
{{- $from := list -}}
{{- range .Values.secrets.sources }}{{ $from = append $from (dict "secretRef" (dict "name" .)) }}{{ end -}}
{{- $_ := set $defaults "env_from" $from -}}
{{- $selector := include "crmhouse.selector" (dict "root" . "component" "flow-run") | fromYaml -}}
{{- $spread := list -}}
{{- range .Values.flows.topologySpread -}}
{{- $spread = append $spread (merge (dict "labelSelector" (dict "matchLabels" $selector)) .) -}}
{{- end -}}
{{- $_ := set $defaults "topology_spread_constraints" $spread -}}
{{- range $name, $default := $defaults }}
{{- $_ := set (index $template.variables.properties $name) "default" $default }}
{{- end -}}
{{- $env := $template.variables.properties.env -}}
{{- $_ := set $env "default" (mergeOverwrite (deepCopy $env.default) .Values.flows.env) -}}
{{- $pod := $template.job_configuration.job_manifest.spec.template.spec -}}
{{- $_ := set $pod "volumes" (concat $pod.volumes .Values.flows.extraVolumes) -}}
{{- $container := index $pod.containers 0 -}}
{{- $_ := set $container "volumeMounts" (concat $container.volumeMounts .Values.flows.extraVolumeMounts) -}}
{{- toPrettyJson $template }}
{{- end }}

{{- /* prefect.yaml with the schedules of the values, for the deployments that these name. */}}
{{- define "crmhouse.prefectYaml" -}}
{{- $file := .Files.Get "files/prefect.yaml" | fromYaml -}}
{{- $known := list -}}
{{- range $deployment := $file.deployments -}}
{{- $known = append $known $deployment.name -}}
{{- with index $.Values.schedules $deployment.name -}}
{{- $_ := set $deployment "schedules" (list (merge (dict "slug" "chart") .)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.schedules -}}
{{- if not (has $name $known) }}{{ fail (printf "schedules: there is no deployment %s; there are %s. A source has its schedule in config.sources." $name (join ", " $known)) }}{{ end -}}
{{- end -}}
{{- toYaml $file }}
{{- end }}

{{- /* The settings of deployments/prefect_server.env, those of the values over them. */}}
{{- define "crmhouse.serverEnv" -}}
{{- $env := dict -}}
{{- range .Files.Lines "files/prefect_server.env" -}}
{{- if and . (not (hasPrefix "#" .)) -}}
{{- $pair := splitn "=" 2 . -}}
{{- $_ := set $env $pair._0 $pair._1 -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := mergeOverwrite $env .Values.server.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
