import json
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

wrong = validate_full_spdx_document(parse_file("list.spdx.json"))
assert not wrong, wrong
cyclonedx = open("list.cdx.json").read()
wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(cyclonedx)
assert wrong is None, wrong
packages = json.load(open("list.spdx.json"))["packages"][1:]
licensing = get_spdx_licensing()
for package in packages:
    purl = package["externalRefs"][0]["referenceLocator"]
    assert PackageURL.from_string(purl).to_string() == purl, purl
    licence = package["licenseDeclared"]
    if licence != "NOASSERTION":
        unknown = licensing.validate(licence).invalid_symbols
        unknown = [name for name in unknown if not name.startswith("LicenseRef-")]
        assert not unknown, (licence, unknown)
components = Bom.from_json(json.loads(cyclonedx)).components
assert len(components) == len(packages)
known = [package for package in packages if package["licenseDeclared"] != "NOASSERTION"]
print(len(packages), len(known))
