#!/usr/bin/env python3
"""Renders the manifests below k8s/ and checks them: against the schemas of the cluster's resource
types where those are at hand, and for what schemas do not say.

usage: manifests_test.py REPOSITORY [Manifests|Schemas]

Schemas: a program `validate_manifests.py --crds FOLDER FILE...` and a folder of CRDs, named by the
variables MANIFEST_VALIDATOR and MANIFEST_CRDS or lying beside the repository in ../shared/tools and
../shared/k8s-crds.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SKIPPED = 77
ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
SHARED = ROOT.parent / "shared"
VALIDATOR = pathlib.Path(os.environ.get("MANIFEST_VALIDATOR", SHARED / "tools/validate_manifests.py"))
CRDS = pathlib.Path(os.environ.get("MANIFEST_CRDS", SHARED / "k8s-crds"))


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


if not shutil.which("kubectl"):
    skip("kubectl, which renders the manifests, is not installed")
try:
    import yaml
except ImportError:
    skip("Python's yaml module is not installed")


def render(folder):
    return subprocess.run(["kubectl", "kustomize", str(ROOT / "k8s" / folder)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def exit_codes():
    header = (ROOT / "core/base/exit_code.h").read_text()
    return {name: int(value) for name, value in re.findall(r"(kExit\w+) = (\d+)", header)}


class Manifests(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.base = list(yaml.safe_load_all(render("base")))
        cls.mpi = list(yaml.safe_load_all(render("overlays/mpijob")))
        cls.gpu = list(yaml.safe_load_all(render("overlays/gpu")))

    def one(self, documents, kind):
        found = [document for document in documents if document["kind"] == kind]
        self.assertEqual(len(found), 1, f"exactly one {kind}")
        return found[0]

    def job(self):
        return self.one(self.base, "Job")

    def replica(self, role):
        return self.one(self.mpi, "MPIJob")["spec"]["mpiReplicaSpecs"][role]

    def pods(self):
        """Name and pod spec of everything that runs a container."""
        yield "job", self.job()["spec"]["template"]["spec"]
        for role in ("Launcher", "Worker"):
            yield role, self.replica(role)["template"]["spec"]

    def test_no_manifest_chooses_a_namespace(self):
        for document in self.base + self.mpi:
            self.assertNotIn("namespace", document["metadata"])

    def test_pods_run_without_privileges(self):
        for name, pod in self.pods():
            with self.subTest(name):
                self.assertTrue(pod["securityContext"]["runAsNonRoot"])
                self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                self.assertIs(pod["automountServiceAccountToken"], False)
                for unwanted in ("hostNetwork", "hostIPC", "hostPID"):
                    self.assertNotIn(unwanted, pod)
                for container in pod["containers"]:
                    security = container["securityContext"]
                    self.assertIs(security["allowPrivilegeEscalation"], False)
                    self.assertIs(security["readOnlyRootFilesystem"], True)
                    self.assertEqual(security["capabilities"], {"drop": ["ALL"]})

    def test_what_is_mounted_exists_and_tmp_is_writable(self):
        claims = {d["metadata"]["name"] for d in self.base if d["kind"] == "PersistentVolumeClaim"}
        for name, pod in self.pods():
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            for volume in pod["volumes"]:
                if "persistentVolumeClaim" in volume:
                    self.assertIn(volume["persistentVolumeClaim"]["claimName"], claims, name)
            paths = set()
            for mount in pod["containers"][0]["volumeMounts"]:
                self.assertIn(mount["name"], volumes, name)
                paths.add(mount["mountPath"])
            self.assertIn("/tmp", paths, name)

    def test_ranks_have_shared_memory_with_a_limit_inside_the_memory_limit(self):
        for name, pod in self.pods():
            if name == "Launcher":
                continue
            shm = [v["emptyDir"] for v in pod["volumes"] if v["name"] == "shm"]
            self.assertEqual(shm, [{"medium": "Memory", "sizeLimit": "1Gi"}], name)
            self.assertEqual(pod["containers"][0]["resources"]["limits"]["memory"], "4Gi", name)
            mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
            self.assertEqual(mounts["shm"], "/dev/shm", name)

    def test_the_service_names_the_pods_before_they_are_ready(self):
        service, job = self.one(self.base, "Service")["spec"], self.job()
        self.assertEqual(service["clusterIP"], "None")
        self.assertIs(service["publishNotReadyAddresses"], True)
        self.assertEqual(service["selector"],
                         {"batch.kubernetes.io/job-name": job["metadata"]["name"]})
        self.assertEqual(job["spec"]["template"]["spec"]["subdomain"],
                         self.one(self.base, "Service")["metadata"]["name"])

    def test_the_gpu_job_has_a_rank_for_each_gpu(self):
        pod = self.one(self.gpu, "Job")["spec"]["template"]["spec"]
        container = pod["containers"][0]
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        self.assertEqual(limits, requests)
        launcher, program = container["args"], container["args"].index("--")
        self.assertEqual(launcher[launcher.index("-n") + 1], str(limits["nvidia.com/gpu"]))
        device = launcher.index("--device")
        self.assertEqual(launcher[device + 1], "cuda")
        self.assertLess(device, program)
        base = self.job()["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(launcher[program:], base["args"][base["args"].index("--"):])
        self.assertTrue(container["image"].endswith("-cuda"))
        self.assertEqual(container["env"], [{"name": "TRIREME_CACHE_DIR", "value": "/runs/.cache"}])
        shm = [v["emptyDir"] for v in pod["volumes"] if v["name"] == "shm"]
        self.assertEqual(shm, [{"medium": "Memory", "sizeLimit": "8Gi"}])

    def test_the_job_is_indexed_and_one_node(self):
        spec = self.job()["spec"]
        self.assertEqual(spec["completionMode"], "Indexed")
        # `trireme run` starts ranks on its own node only.
        self.assertEqual((spec["completions"], spec["parallelism"]), (1, 1))
        # podFailurePolicy is refused with anything else.
        self.assertEqual(spec["template"]["spec"]["restartPolicy"], "Never")
        self.assertEqual(spec["podReplacementPolicy"], "Failed")

    def test_the_failure_policy_knows_our_exit_codes(self):
        codes = exit_codes()
        rules = {}
        for rule in self.job()["spec"]["podFailurePolicy"]["rules"]:
            self.assertEqual(("onExitCodes" in rule) + ("onPodConditions" in rule), 1, rule)
            if "onExitCodes" in rule:
                self.assertEqual(rule["onExitCodes"]["containerName"], "trireme")
                rules[rule["action"]] = set(rule["onExitCodes"]["values"])
        hopeless = ("Usage", "Data", "Config", "CannotExec", "NotFound")
        self.assertEqual(rules, {"FailJob": {codes["kExit" + name] for name in hopeless},
                                 "Ignore": {codes["kExitStopped"]}})

    def test_a_replaced_pod_resumes_in_the_same_directory(self):
        arguments = self.job()["spec"]["template"]["spec"]["containers"][0]["args"]
        command, program = arguments[: arguments.index("--")], arguments[arguments.index("--"):]
        self.assertEqual(command[0], "run")
        self.assertIn("--run-id", command)
        self.assertEqual(program[program.index("--resume") + 1], "auto")
        launcher = self.replica("Launcher")["template"]["spec"]["containers"][0]["args"]
        self.assertIn("--out", launcher)
        self.assertEqual(launcher[launcher.index("--resume") + 1], "auto")

    def test_the_launcher_waits_almost_as_long_as_the_pod(self):
        pod = self.job()["spec"]["template"]["spec"]
        arguments = pod["containers"][0]["args"]
        command = arguments[: arguments.index("--")]
        grace = int(command[command.index("--grace") + 1].removesuffix("s"))
        self.assertLess(grace, pod["terminationGracePeriodSeconds"])
        self.assertGreaterEqual(grace, pod["terminationGracePeriodSeconds"] - 15)

    def test_ranks_use_no_more_threads_than_their_pod_has_cores(self):
        # `trireme run` divides the limit among its ranks; under mpirun nobody knows of it.
        job = self.job()["spec"]["template"]["spec"]["containers"][0]["resources"]
        self.assertEqual(job["limits"]["cpu"], job["requests"]["cpu"])
        slots = self.one(self.mpi, "MPIJob")["spec"]["slotsPerWorker"]
        worker = self.replica("Worker")["template"]["spec"]["containers"][0]["resources"]
        self.assertEqual(worker["limits"]["cpu"], worker["requests"]["cpu"])
        launcher = self.replica("Launcher")["template"]["spec"]["containers"][0]["args"]
        settings = dict(word.split("=") for word in launcher if word.startswith("TRIREME_"))
        self.assertLessEqual(slots * int(settings["TRIREME_NUM_THREADS"]), int(worker["limits"]["cpu"]))

    def test_mpirun_starts_as_many_ranks_as_there_are_slots(self):
        spec = self.one(self.mpi, "MPIJob")["spec"]
        launcher = self.replica("Launcher")["template"]["spec"]["containers"][0]["args"]
        self.assertEqual(int(launcher[launcher.index("-np") + 1]),
                         spec["slotsPerWorker"] * self.replica("Worker")["replicas"])

    def test_the_mpijob_waits_for_workers_and_frees_them(self):
        spec = self.one(self.mpi, "MPIJob")["spec"]
        self.assertEqual(spec["launcherCreationPolicy"], "WaitForWorkersReady")
        self.assertEqual(spec["runPolicy"]["cleanPodPolicy"], "Running")
        worker = self.replica("Worker")["template"]["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
        self.assertEqual(worker["readinessProbe"]["tcpSocket"]["port"], "ssh")
        sshd = (ROOT / "docker/sshd_config").read_text()
        self.assertIn(f"\nPort {ports['ssh']}\n", sshd)

    def test_the_monitor_scrapes_a_port_that_the_workers_name(self):
        endpoint = self.one(self.mpi, "PodMonitor")["spec"]["podMetricsEndpoints"][0]
        worker = self.replica("Worker")["template"]["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
        settings = (ROOT / "core/base/settings.cc").read_text()
        default = re.search(r'"TRIREME_METRICS_PORT", "(\d+)"', settings).group(1)
        self.assertEqual(str(ports[endpoint["port"]]), default)

    def test_images_are_those_that_docker_builds(self):
        built = set()
        for name in ("Dockerfile", "Dockerfile.mpi"):
            built |= set(re.findall(r" -t (\S+) .*\.$", (ROOT / "docker" / name).read_text(), re.M))
        for name, pod in self.pods():
            self.assertIn(pod["containers"][0]["image"].split(":")[0], built, name)


class Schemas(unittest.TestCase):
    def test_schemas(self):
        if not VALIDATOR.exists() or not CRDS.exists():
            self.skipTest(f"no {VALIDATOR.name} or no CRDs; see MANIFEST_VALIDATOR and MANIFEST_CRDS")
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for name in ("base", "overlays/gpu", "overlays/mpijob"):
                files.append(pathlib.Path(folder) / (name.replace("/", "-") + ".yaml"))
                files[-1].write_text(render(name))
            result = subprocess.run([sys.executable, str(VALIDATOR), "--crds", str(CRDS), *map(str, files)],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)
        for kind in ("Job", "MPIJob", "PodMonitor"):
            self.assertRegex(result.stdout, rf"OK .* {kind}\n")


if __name__ == "__main__":
    outcome = unittest.main(argv=[sys.argv[0]] + sys.argv[2:], exit=False).result
    if outcome.skipped and outcome.wasSuccessful():
        skip(outcome.skipped[0][1])
    sys.exit(0 if outcome.wasSuccessful() else 1)
